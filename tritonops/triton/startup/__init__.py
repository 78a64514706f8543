"""The loads of a starting server: a model that hangs, crashes or fails is named and left out."""
