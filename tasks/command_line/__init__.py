"""The command line: words, options, help, completion and the documents of --json."""
