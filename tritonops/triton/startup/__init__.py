"""The loads of a server that has just started: what hangs, crashes or fails is named and left out."""
