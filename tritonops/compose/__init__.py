"""Triton in Docker: the Compose service, the small CPU image, and the docker commands behind both."""
