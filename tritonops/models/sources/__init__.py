"""Where the files of a version come from: the Hub, a URL or this machine."""
