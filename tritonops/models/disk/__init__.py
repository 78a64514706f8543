"""The models directory and the store beside it."""
