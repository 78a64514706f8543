"""The plan of `triton.plan` and `triton.apply`."""
