"""Kubernetes: the same catalogue on a cluster."""
