"""Connections to a server. They know no release."""
