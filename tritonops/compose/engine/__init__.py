"""The Docker engine: its commands, containers, images and failures."""
