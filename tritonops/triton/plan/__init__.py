"""How models.toml, the disk and the server differ, and what would make them agree."""
