"""Whether a slow connection is helped by another one, or is not slow at all."""
