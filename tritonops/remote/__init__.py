"""GPU servers behind SSH: connections, releases, deploys."""
