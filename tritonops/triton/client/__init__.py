"""Triton's gRPC API, typed: calls, their results and their errors."""
