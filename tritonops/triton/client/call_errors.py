"""tritonclient's single exception, split into the cases that our callers tell apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tritonops.display_text import clip
from tritonops.errors import (
    DecoupledModelError,
    NotServedError,
    TokenRefusedError,
    TritonError,
    TritonTimeoutError,
    TritonUnreachableError,
)

PROBE_TIMEOUT = 2.0
RESTRICTED = "protocol is restricted"
_NOT_AVAILABLE = re.compile("requested model '.*' is not available")
_LOST = ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED")


def translate(exc: Any, url: str, *, timeout: float, token_sent: bool, is_running: Callable[[], bool]) -> Exception:
    """Turn an InferenceServerException of a call to `url` into one of our errors.

    Triton itself answers UNAVAILABLE too, for a full queue for example; `is_running` tells whether it can be reached.
    """
    message, status = exc.message() or str(exc), exc.status()
    if RESTRICTED in message:
        return TokenRefusedError(url, token_sent=token_sent)
    if "decoupled transaction policy" in message:
        return DecoupledModelError(f"Triton at {url}: {message}")
    if status in _LOST and not is_running():
        return TritonUnreachableError(url, _why_unreachable(message, timeout), speaks_http=_speaks_http(url))
    if status == "StatusCode.DEADLINE_EXCEEDED":
        return TritonTimeoutError(f"Triton at {url} did not answer within {timeout:g} s")
    if status == "StatusCode.NOT_FOUND" or _NOT_AVAILABLE.search(message):
        hint = "`inv triton.list` shows what is served, `inv triton.load` loads a model."
        return NotServedError(f"Triton at {url}: {message}", hint=hint)
    return TritonError(f"Triton at {url}: {clip(message)}", answer=message)


def _why_unreachable(message: str, timeout: float) -> str:
    """Find "Connection refused" in gRPC's message, four layers deep."""
    if message == "Deadline Exceeded":
        return f"no answer within {timeout:g} s"
    return message.rpartition(": ")[2] if message.startswith("failed to connect") else message


def _speaks_http(url: str) -> bool:
    """Whether an HTTP server answers there, such as Triton's own HTTP port."""
    import http.client

    host, _, port = url.rpartition(":")
    if not port.isdecimal():
        return False  # a name for a server behind SSH
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=PROBE_TIMEOUT)
    try:
        connection.request("GET", "/v2")
        return bool(connection.getresponse().status)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
