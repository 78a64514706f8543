"""Configs: what they say, and what a graph allows them to say."""
