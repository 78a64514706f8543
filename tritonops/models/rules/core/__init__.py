"""What Triton's core refuses or completes before a backend sees a model."""
