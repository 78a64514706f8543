"""The models directory, and its store."""
