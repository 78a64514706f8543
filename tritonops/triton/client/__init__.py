"""Triton's gRPC API, typed: calls, their answers and their errors."""
