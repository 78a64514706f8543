"""The models directory that a server reads, what it was last seen to serve of it, and how the two compare."""
