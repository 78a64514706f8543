"""Deadlines for connections: a socket's own timeout starts again with each byte that a server drips."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any, Protocol

from tritonops.models.http.errors import StalledError, StoppedError, TransientError
from tritonops.models.http.header_parser import begin, read_header_fields

MIN_SPEED = 1000.0
"""Bytes a second; a body that is slower for as long as it may stall has stalled."""
MAX_INTERIM = 20
"""Interim answers (1xx) before the real one."""
MAX_TRAILERS = 100
"""Lines behind the last chunk."""


PATIENCE = 50 / 30
"""Times the seconds that a connection may stall: a whole listing may take so long, and a file be without progress. With
the default of 30 seconds, a command whose server never answers ends within a minute, also on a busy machine."""


class Watched(Protocol):
    """A response whose body is being read."""

    def overdue(self, now: float) -> Exception | None:
        """Return what is wrong with the time that it takes."""

    def interrupt(self, error: Exception) -> None:
        """End a read that waits in another thread; it raises `error`."""


class Watchdog:
    """One thread that ends what takes too long, and everything once it is stopped.

    `stall_seconds` is how long a connection may stall, `patience_seconds` how long a listing may take.
    """

    def __init__(self, stall_seconds: float) -> None:
        self.stall_seconds, self.patience_seconds = stall_seconds, stall_seconds * PATIENCE
        self.opened: set[Watched] = set()
        """Responses whose bodies are being read."""
        self._stopped = threading.Event()
        self._waiting: dict[http.client.HTTPConnection, float] = {}
        """Connections that are being made, or whose answer has not begun, and until when they may be."""
        self._until = threading.local()
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        """End every read and every wait, in all threads, with StoppedError."""
        self._stopped.set()
        for response in list(self.opened):
            response.interrupt(StoppedError())

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def now(self) -> float:
        """The time, in the seconds of time.monotonic()."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep. Raises StoppedError where the download is stopped meanwhile."""
        if self._stopped.wait(seconds):
            raise StoppedError

    def expect_answers_until(self, until: float) -> None:
        """Set the deadline, a time.monotonic(), of what this thread connects to and asks for next."""
        self._until.value = until

    def begin(self, connection: http.client.HTTPConnection) -> None:
        """Watch a connection that is being made or waits for its answer."""
        self._waiting[connection] = getattr(self._until, "value", time.monotonic() + self.stall_seconds)

    def end(self, connection: http.client.HTTPConnection) -> None:
        """Watch it no longer. Raises TimeoutError where it was ended meanwhile."""
        if self._waiting.pop(connection, None) is None:
            raise TimeoutError("timed out")

    def _watch(self) -> None:
        tick = min(0.5, self.stall_seconds / 20)
        while not self._stopped.wait(tick):
            now = time.monotonic()
            for connection, until in list(self._waiting.items()):
                if now > until and self._waiting.pop(connection, None) is not None:
                    _shut_down(connection)
            for response in list(self.opened):
                if problem := response.overdue(now):
                    response.interrupt(problem)


class BodyClock:
    """Tells whether a body comes too slowly, or not by its deadline; time that is not spent in reads does not count."""

    def __init__(self, stall_seconds: float, until: float | None) -> None:
        self._stall_seconds, self._until = stall_seconds, until
        self._samples: deque[tuple[float, int]] = deque()

    def overdue(self, now: float, received: int, *, is_reading: bool) -> TransientError | None:
        """Record the bytes received by `now`; returns what is wrong with that."""
        if self._until is not None and now > self._until:
            return StalledError("it was not complete in time")
        if not is_reading:
            self._samples.clear()
            return None
        samples = self._samples
        samples.append((now, received))
        while len(samples) > 1 and samples[1][0] <= now - self._stall_seconds:
            samples.popleft()
        since, before = samples[0]
        if now - since < self._stall_seconds or received - before >= MIN_SPEED * (now - since):
            return None
        return StalledError(f"less than 1 kB/s for {self._stall_seconds:.3g} seconds")


class CountingIO(socket.SocketIO):
    """What http.client reads from, counting: a buffered read of half a megabyte shows nothing until it is done."""

    received = 0

    def readinto(self, buffer: Any) -> int | None:
        """Read once."""
        count = super().readinto(buffer)
        self.received += count or 0
        return count


class CheckedResponse(http.client.HTTPResponse):
    """http.client's response, with strict numbers and limits for interim responses and trailers."""

    _interim = 0
    begin = begin

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise http.client.HTTPException(f"more than {MAX_INTERIM} interim answers")
            if status == http.client.CONTINUE:
                return version, status, reason  # http.client itself skips it
            read_header_fields(self.fp)

    def _read_next_chunk_size(self) -> int:
        line = self.fp.readline(1024)
        found = re.match(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\n]*)?\r?\n", line)
        if found is None:
            raise ValueError("not a chunk size")
        return int(found[1], 16)

    def _read_and_discard_trailer(self) -> None:
        for _ in range(MAX_TRAILERS):
            if self.fp.readline(1024) in (b"\r\n", b"\n", b""):
                return
        raise http.client.HTTPException(f"more than {MAX_TRAILERS} trailers")


def watched(connection_class: type[Any], watchdog: Watchdog) -> type[Any]:
    """Make a class of connections whose making and answering is watched."""

    class WatchedConnection(connection_class):  # type: ignore[misc]
        response_class = CheckedResponse

        def connect(self) -> None:
            watchdog.begin(self)
            try:
                super().connect()
            finally:
                watchdog.end(self)

        def getresponse(self) -> Any:
            watchdog.begin(self)
            try:
                return super().getresponse()
            finally:
                watchdog.end(self)

    return WatchedConnection


def _shut_down(connection: http.client.HTTPConnection) -> None:
    sock = getattr(connection.sock, "socket", connection.sock)  # TLS within TLS wraps another socket
    # It may have ended by itself, or not even be there yet.
    with suppress(OSError, AttributeError, TypeError):
        # Not the method of a TLS socket, which would drop its state in the middle of another thread's read.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
