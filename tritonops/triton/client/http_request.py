"""One HTTP request to Triton over a Unix socket.

Without http.client: it imports ssl and email, which takes a tenth of a whole deploy with nothing to do.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path

INDEX = "/v2/repository/index"
_TIMEOUT = 10.0
_PART = 1 << 16
_MOST = 1 << 26
"""Bytes of an answer."""
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])[ \r]")
_LENGTH = re.compile(rb"\r\nContent-Length:[ \t]*([0-9]{1,10})[ \t]*\r\n", re.IGNORECASE)


def post(path: Path, target: str, body: bytes, *, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Send a request to the server behind a socket, and give the status and the body of its answer.

    Raises OSError where it does not answer within ten seconds, and ValueError where that is no HTTP.
    """
    lines = [f"POST {target} HTTP/1.0", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(_TIMEOUT)
        server.connect(str(path))
        server.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return _read(server)


def _read(server: socket.socket) -> tuple[int, bytes]:
    """Read to the length that the head names, or to the end of the connection."""
    answer, size = b"", None
    while size is None or len(answer) < size:
        part = server.recv(_PART)
        answer += part
        if not part or len(answer) > _MOST:
            break
        if size is None and (end := answer.find(b"\r\n\r\n")) >= 0 and (length := _LENGTH.search(answer[: end + 2])):
            size = end + 4 + int(length[1])
    head, separator, body = answer.partition(b"\r\n\r\n")
    status = _STATUS.match(head + b"\r")
    if not (status and separator):
        if not answer:
            raise ConnectionResetError("the server closed the connection without an answer")
        raise ValueError(f"not an answer of HTTP: {answer[:60]!r}")
    if size is not None and len(answer) != size:
        raise ConnectionResetError("the answer is not complete")
    return int(status[1]), body
