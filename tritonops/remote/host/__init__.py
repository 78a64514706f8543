"""What runs on the server: a release prepared, switched to, served and recorded."""
