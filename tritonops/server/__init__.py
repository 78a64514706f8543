"""A real tritonserver as a local process, without Docker."""
