"""A response and its body, read within limits of time and size."""

from __future__ import annotations

import http.client
import socket
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from fcntl import ioctl
from termios import FIONREAD
from typing import TYPE_CHECKING

from tritonops.errors import SourceError
from tritonops.models.http.address_with_token import Address
from tritonops.models.http.errors import StoppedError, TransientError, translated
from tritonops.models.http.response_headers import content_length
from tritonops.models.http.retries import Retries
from tritonops.models.http.watchdog import BodyClock, CountingIO, Watchdog
from tritonops.redaction import redact

if TYPE_CHECKING:
    import urllib3


MAX_DRAINED, MAX_DRAIN_SECONDS = 1 << 16, 2.0
MAX_DOCUMENT = 64 << 20
"""Bytes of a listing, decompressed."""
DOCUMENT_CHUNK = 1 << 16
DEFAULT_RECEIVE_BUFFER = 1 << 20
"""Taken for that of a connection that does not tell, such as TLS inside of TLS."""


class Response:
    """A response and its body, with errors translated. It ends its connection when the download is stopped."""

    def __init__(
        self, watchdog: Watchdog, response: urllib3.BaseHTTPResponse, address: Address, retries: Retries
    ) -> None:
        self._watchdog, self._response = watchdog, response
        # http.client's own, which reads from the socket into a buffer: urllib3's copies, at a tenth of all our CPU.
        self._body: http.client.HTTPResponse = response._fp  # type: ignore[attr-defined]
        self._raw = self._counted()
        self._is_body = response.status in (200, 206)
        until = retries.until if self._is_body else time.monotonic() + MAX_DRAIN_SECONDS
        self._clock = BodyClock(retries.window, until)
        self._is_reading = False
        self._ended_by: Exception | None = None
        self.address = address
        """Where the bytes came from, after redirects."""
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        watchdog.opened.add(self)

    def _counted(self) -> CountingIO | None:
        raw = getattr(self._body.fp, "raw", None)
        if raw is not None:
            raw.__class__ = CountingIO  # the socket's own, at the same place: a wrapper would cost a call for each read
        return raw

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Return the connection to its pool, or end it where the body was not read to its end."""
        if not self._is_body and (self._body.chunked or self._body.length is not None):
            # A redirect's few words are read, so that its connection can be used again.
            self._is_reading = True
            with suppress(OSError, http.client.HTTPException, ValueError):
                self._body.read(MAX_DRAINED)
        self._watchdog.opened.discard(self)
        if self._body.isclosed():
            self._response.release_conn()
        self._response.close()

    def overdue(self, now: float) -> Exception | None:
        """Return what is wrong with the time that its body takes."""
        received = self._raw.received if self._raw else 0
        return self._clock.overdue(now, received, is_reading=self._is_reading)

    def interrupt(self, error: Exception) -> None:
        """End a read that waits in another thread; it raises `error`."""
        self._ended_by = error
        # It may have ended by itself meanwhile.
        with suppress(ValueError, RuntimeError, OSError):
            self._response.shutdown()

    @property
    def ends_by_itself(self) -> bool:
        """Whether the body says where it ends, so that the end of the connection cannot be mistaken for that."""
        return bool(self._body.chunked) or "Content-Length" in self.headers

    def read_into(self, buffer: memoryview) -> int:
        """Fill a buffer; less than its size, or 0, at the end of the body."""
        self._is_reading = True
        try:
            count = self._body.readinto(buffer)
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise self._ended_by or self._meaning(exc) from exc
        finally:
            self._is_reading = False
        if self._watchdog.is_stopped:
            raise StoppedError
        if count == 0 and self._ended_by:
            raise self._ended_by
        return count

    def _meaning(self, error: Exception) -> Exception:
        return StoppedError() if self._watchdog.is_stopped else translated(error)

    @property
    def unread_bytes(self) -> int:
        """Bytes that have arrived and were not read yet."""
        try:
            return int.from_bytes(ioctl(self._body.fp.fileno(), FIONREAD, bytes(4)), sys.byteorder)
        except (OSError, ValueError, AttributeError):
            return 0  # it was closed

    @property
    def receive_buffer(self) -> int:
        """Bytes that may arrive without being read: the kernel enlarges the buffer of a fast connection."""
        try:
            return int(self._body.fp.raw._sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))  # type: ignore[attr-defined]
        except (OSError, ValueError, AttributeError):
            return DEFAULT_RECEIVE_BUFFER

    def chunks(self) -> Iterator[bytes]:
        """Read the body, decompressed, as a document: of MAX_DOCUMENT bytes at most."""
        expand = _decoder(self.headers.get("Content-Encoding", "identity"))
        length, received, size = content_length(self.headers), 0, 0
        buffer = memoryview(bytearray(DOCUMENT_CHUNK))
        while count := self.read_into(buffer):
            received += count
            for chunk in expand(bytes(buffer[:count])):
                size += len(chunk)
                if size > MAX_DOCUMENT:
                    raise SourceError(f"{redact(self.address.url)} answered with more than {MAX_DOCUMENT >> 20} MiB")
                yield chunk
            if problem := self._clock.overdue(time.monotonic(), received, is_reading=False):
                raise problem
        if length is not None and received < length:
            raise TransientError("the connection ended early")


def _decoder(encoding: str) -> Callable[[bytes], Iterator[bytes]]:
    """Expand what was compressed without being asked for, a little at a time."""
    if encoding.lower() in ("identity", ""):
        return lambda data: iter((data,))
    if encoding.lower() not in ("gzip", "x-gzip"):
        raise SourceError(f"the answer is encoded as {encoding[:40]!r}, which was not asked for")
    decompressor = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    def expand(data: bytes) -> Iterator[bytes]:
        try:
            while chunk := decompressor.decompress(data, DOCUMENT_CHUNK):
                yield chunk
                data = decompressor.unconsumed_tail
        except zlib.error as exc:
            raise SourceError("the answer is called gzip, and is not") from exc

    return expand
