"""Check that a token closes Triton's control API, by requests without it over gRPC and HTTP."""

from __future__ import annotations

import http.client

from tritonops.errors import OpenControlError, TokenRefusedError, TritonError
from tritonops.triton.client.client import connect

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


def require_closed_http(connection: http.client.HTTPConnection, *, where: str) -> None:
    """Request the model index over HTTP without a token. Raises OSError or HTTPException if no server answers."""
    connection.request("POST", "/v2/repository/index", body="{}")
    response = connection.getresponse()
    text = response.read().decode(errors="replace")
    if response.status == 200:
        raise OpenControlError(where, "HTTP")
    if response.status not in _REFUSED:
        raise TritonError(f"{where}: asked without the token, Triton answers {response.status} {text[:200]}")
