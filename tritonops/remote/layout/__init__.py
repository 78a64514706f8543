"""Folders and records that client and host share."""
