"""A running Triton over gRPC: its client, control of its models, and how it differs from the disk."""
