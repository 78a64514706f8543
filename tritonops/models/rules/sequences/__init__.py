"""Sequence batching: what a config says of it, alone, with its files, and with the graph."""
