"""Check that a token closes Triton's control API, by requests without it over gRPC and HTTP."""

from __future__ import annotations

from pathlib import Path

from tritonops.errors import OpenControlError, TokenRefusedError, TritonError
from tritonops.triton.client.client import connect
from tritonops.triton.client.http_request import INDEX, post

_REFUSED = (401, 403)


def require_closed_grpc(address: str, *, where: str | None = None) -> None:
    """Request the model index without a token. Raises OpenControlError if it is answered, and TritonError."""
    with connect(address) as client:
        client.url = where or address
        try:
            client.index()
        except TokenRefusedError:
            return
        raise OpenControlError(client.url, "gRPC")


def require_closed_http(path: Path, *, where: str) -> None:
    """Request the model index over HTTP without a token. Raises OSError or ValueError if no server answers."""
    status, body = post(path, INDEX, b"{}")
    if status == 200:
        raise OpenControlError(where, "HTTP")
    if status not in _REFUSED:
        text = body.decode(errors="replace")[:200]
        raise TritonError(f"{where}: asked without the token, Triton answers {status} {text}")
