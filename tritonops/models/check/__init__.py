"""What Triton would refuse, or serve otherwise than meant, found without a server."""
