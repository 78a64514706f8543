"""Whether a token closes Triton's control API: asked without it, over gRPC and over HTTP."""

from __future__ import annotations

import http.client

from tritonops.errors import OpenControlError, TokenRefusedError, TritonError
from tritonops.triton.client.client import connect

_REFUSED = (401, 403)


def require_closed_grpc(address: str, *, where: str | None = None) -> None:
    """Ask for the model index without a token. Raises OpenControlError where it is given, and TritonError."""
    with connect(address) as client:
        client.url = where or address
        try:
            client.index()
        except TokenRefusedError:
            return
        raise OpenControlError(client.url, "gRPC")


def require_closed_http(connection: http.client.HTTPConnection, *, where: str) -> None:
    """The same over HTTP. OSError and HTTPException mean that nothing answers there."""
    connection.request("POST", "/v2/repository/index", body="{}")
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    if answer.status == 200:
        raise OpenControlError(where, "HTTP")
    if answer.status not in _REFUSED:
        raise TritonError(f"{where}: asked without the token, Triton answers {answer.status} {text[:200]}")
