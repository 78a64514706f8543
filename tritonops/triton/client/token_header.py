"""The headers that carry the control token: one name over gRPC, another over HTTP."""

from __future__ import annotations

GRPC_HEADER = "triton-grpc-protocol-triton-token"
"""Triton puts `triton-grpc-protocol-` in front of the header that its restricted protocols name."""
HTTP_HEADER = "triton-token"


def token_metadata(token: str | None) -> dict[str, str]:
    """Give the metadata of each gRPC call; none without a token."""
    return {GRPC_HEADER: token} if token else {}


def token_headers(token: str | None) -> dict[str, str]:
    """Give the headers of an HTTP request; none without a token."""
    return {HTTP_HEADER: token} if token else {}
