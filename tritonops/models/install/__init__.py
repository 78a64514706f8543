"""From the store to the models directory: what is installed, and how a version is installed."""
