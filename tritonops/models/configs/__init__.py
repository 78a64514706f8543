"""config.pbtxt: read, rendered from a graph, and what a graph allows it to say."""
