"""What a server adds to a config from the model itself, before it judges the config (auto-complete)."""
