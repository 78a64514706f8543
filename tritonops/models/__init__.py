"""models.toml and the files on disk: the catalogue, its lock, downloads, the model repository, configs."""
