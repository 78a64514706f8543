"""What tasks share: the program, the task decorator, options, hosts and servers."""
