"""What the pods of a target get: models.toml, its lock, configs and small sources."""
