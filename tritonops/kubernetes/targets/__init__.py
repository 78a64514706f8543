"""kubernetes.toml: the targets, checked at the door."""
