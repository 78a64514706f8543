"""models.toml and models.lock: read, checked, edited and committed."""
