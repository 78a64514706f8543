"""HTTP as downloads need it: pooled connections, no token to strangers, failures split by what they call for."""

from __future__ import annotations

import http.client
import random
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from fcntl import ioctl
from termios import FIONREAD
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from tritonops import __version__
from tritonops.errors import SourceError
from tritonops.models.address import Address
from tritonops.models.transfer.headers import content_length, retry_after
from tritonops.models.transfer.headers import location as checked_location
from tritonops.models.transfer.http_errors import (
    TRANSIENT_STATUSES,
    StoppedError,
    TransientError,
    refusal,
    translated,
)
from tritonops.models.transfer.routes import Route, Routes
from tritonops.models.transfer.watchdog import BodyClock, CountingIO, Watchdog
from tritonops.redaction import redact

if TYPE_CHECKING:
    import urllib3

_T = TypeVar("_T")

CONNECT_SECONDS = 10.0
MAX_HOPS = 5
MAX_WAIT_SECONDS, WORTH_SAYING_SECONDS = 600.0, 5.0
MAX_DRAINED, MAX_DRAIN_SECONDS = 1 << 16, 2.0
MAX_DOCUMENT = 64 << 20
"""Bytes of a listing, decompressed."""
DOCUMENT_CHUNK = 1 << 16
ATTEMPTS = 8
"""Failures in a row, without progress, until a file is given up."""
ATTEMPTS_AT_FIRST = 4
"""The same for a host that has not answered once: its name may be wrong, or the network away."""
LATE_TRY_SECONDS = 0.5
"""For what is wanted of a host that has answered nobody for as long as a listing may take."""
PATIENCE = 50 / 30
"""Times the seconds that a connection may stall: a whole listing may take so long, and a file be without progress. With
the default of 30 seconds, a command whose server never answers ends within a minute, also on a busy machine."""


class Transport:
    """One pool of connections for all threads of a download."""

    def __init__(self, *, connections: int, stall_seconds: float, on_wait: Callable[[str], None]) -> None:
        import urllib3

        self.stall_seconds, self.patience_seconds = stall_seconds, stall_seconds * PATIENCE
        self._watchdog = Watchdog(stall_seconds)
        self._routes = Routes(self._watchdog, connections=connections)
        self._timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, stall_seconds), read=stall_seconds)
        self._on_wait = on_wait
        self._pauses: dict[str, float] = {}
        self._met: set[str] = set()
        self._first_asked: dict[str, float] = {}
        self._answered: set[str] = set()
        """Hosts that gave a whole listing, a file, a redirect, a refusal, or a time to come back."""
        self.shortest_wait: float | None = None
        """Seconds from a request to its answer, at best."""

    def close(self) -> None:
        """Close the connections; requests that wait for bytes end at once, with StoppedError."""
        self._watchdog.stopped.set()
        for response in list(self.opened):
            response.interrupt(StoppedError())
        self._routes.close()

    @property
    def opened(self) -> set[Response]:
        """Answers whose bodies are being read."""
        return self._watchdog.opened

    @property
    def is_stopped(self) -> bool:
        """Whether `close` was called."""
        return self._watchdog.stopped.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep, unless the download is stopped: then raise StoppedError."""
        if self._watchdog.stopped.wait(seconds):
            raise StoppedError

    def open(
        self,
        address: Address,
        retries: Retries,
        headers: Mapping[str, str] | None = None,
        on_located: Callable[[Address], None] = lambda address: None,
    ) -> Response:
        """Follow redirects from `address` to the bytes, or raise what the status means. Close the response.

        Before a redirect is followed that vouches for ranges, as the Hub's do, `on_located` is told where it leads.
        """
        for _ in range(MAX_HOPS):
            response = Response(self, self._send(address, headers or {}, retries), address, retries)
            location = response.headers.get("Location")
            if response.status in (200, 206):
                if not retries.is_listing:
                    self._has_answered(address)
                return response
            response.close()
            if not (300 <= response.status < 400 and location):
                raise self._meaning(response)
            self._has_answered(address)
            address = _redirected(address, location, is_listing=retries.is_listing)
            if response.headers.get("Accept-Ranges") == "bytes":
                on_located(address)
        raise SourceError(f"{redact(address.url)} redirects in circles")

    def get_document(self, address: Address, parse: Callable[[Iterator[bytes]], _T]) -> _T:
        """GET a document and parse it while it arrives, with patience. `parse` raises SourceError for what is none."""

        def once(retries: Retries) -> _T:
            with self.open(address, retries) as response:
                try:
                    document = parse(response.chunks())
                except SourceError as exc:
                    if response.ends_by_itself:
                        raise
                    raise TransientError(str(exc)) from exc  # the end of the connection may have come early
                self._has_answered(response.address)
                return document

        return self.patiently(once, address.url)

    def patiently(self, attempt: Callable[[Retries], _T], what: str) -> _T:
        """Call `attempt` until it raises no TransientError, as long as a listing may take; then raise SourceError."""
        retries = Retries(self, what, is_listing=True)
        for _ in range(ATTEMPTS):
            try:
                return attempt(retries)
            except TransientError as exc:
                retries.pause(exc)
        raise AssertionError("pause() raises at the last failure")

    def _send(self, address: Address, headers: Mapping[str, str], retries: Retries) -> urllib3.BaseHTTPResponse:
        try:
            url = urlsplit(address.url)
        except ValueError as exc:
            raise SourceError(f"{redact(address.url)} is not a URL: {exc}") from exc
        if _host(url) not in self._answered:
            retries.share(self._first_asked.setdefault(_host(url), time.monotonic()))
        if (pause := self._pauses.get(_host(url), 0.0) - time.monotonic()) > 0:
            retries.wait_as_asked(pause)
        self._watchdog.expect_answers_until(time.monotonic() + retries.window)
        route = self._routes.to(address.url)
        started = time.monotonic()
        path = url._replace(scheme="", netloc="", path=url.path or "/", fragment="").geturl()
        try:
            # Not through a requests.Session: its cookies, hooks and redirects are half of what a small file costs.
            response = route.pool.urlopen(
                "GET",
                address.url if route.is_absolute else path,
                headers={**_headers(address), **headers},
                timeout=self._timeout,
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
        except Exception as exc:
            raise self.translated(exc, route, is_first_contact=url.netloc not in self._met) from exc
        self._met.add(url.netloc)
        waited = time.monotonic() - started
        self.shortest_wait = min(waited, self.shortest_wait or waited)
        return response

    def _has_answered(self, address: Address) -> None:
        self._answered.add(_host(urlsplit(address.url)))

    def _meaning(self, response: Response) -> Exception:
        status, proxy = response.status, self._routes.to(response.address.url).proxy
        through = f"through the proxy {proxy}: " if proxy else ""
        if status not in TRANSIENT_STATUSES:
            self._has_answered(response.address)
            return refusal(status, response.headers, response.address, through)
        delay = retry_after(response.headers.get("Retry-After"))
        if delay is not None:
            self._has_answered(response.address)
            self._pause_host(response.address.url, delay)
        return TransientError(f"{through}the server answered {status}", delay=delay)

    def translated(self, error: Exception, route: Route | None = None, *, is_first_contact: bool = False) -> Exception:
        """Turn what requests, urllib3 and http.client raise into TransientError, SourceError or StoppedError."""
        import requests
        import urllib3

        known = (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
            ValueError,
        )
        if self.is_stopped:
            return StoppedError()
        return translated(error, route, is_first_contact=is_first_contact) if isinstance(error, known) else error

    def _pause_host(self, url: str, delay: float) -> None:
        """One connection was told to wait: let the others wait too, and not learn it one by one."""
        if delay > MAX_WAIT_SECONDS:
            raise SourceError(f"{redact(url)} asks to come back in {_seconds(delay)}", hint="Try again later.")
        host, until = _host(urlsplit(url)), time.monotonic() + delay
        if delay >= WORTH_SAYING_SECONDS and until > self._pauses.get(host, 0.0) + 1.0:
            self._on_wait(f"{host} is busy and asks to wait {delay:.0f} seconds")
        self._pauses[host] = max(self._pauses.get(host, 0.0), until)


class Retries:
    """When to try again, and when to give up: after too many failures in a row, or too long without progress."""

    def __init__(self, transport: Transport, what: str, *, is_listing: bool = False, idle_seconds: float = 0.0) -> None:
        self._transport, self._what, self.is_listing = transport, what, is_listing
        self._since = 0.0
        self.progressed()
        self._since -= idle_seconds

    @property
    def has_failed(self) -> bool:
        """Whether the last try failed."""
        return self._failures > 0

    @property
    def until(self) -> float | None:
        """When the whole has to be complete."""
        return self._since + self._transport.patience_seconds if self.is_listing else None

    @property
    def seconds(self) -> float:
        """How long there was no progress; a listing has none before it is complete."""
        idle = time.monotonic() - self._since
        return idle if self.is_listing else idle - self._paused

    @property
    def window(self) -> float:
        """Seconds that the next try may be without a byte."""
        return max(0.1, min(self._transport.stall_seconds, self._transport.patience_seconds - self.seconds))

    def share(self, first_asked: float) -> None:
        """Count from when the host was asked first, which has answered nobody: all that is wanted of it fails together.

        What comes late is tried once.
        """
        earliest = time.monotonic() - self._transport.patience_seconds + LATE_TRY_SECONDS
        self._since = min(self._since, max(first_asked, earliest))

    def progressed(self) -> None:
        """Count from the beginning again."""
        self._since, self._failures = time.monotonic(), 0
        self._asked = 0.0
        """Seconds that servers have asked to wait, without progress."""
        self._paused = 0.0
        """Those of them that have passed."""

    def wait_as_asked(self, seconds: float) -> None:
        """Wait because a server has asked for it: files get that much more time."""
        self._paused += seconds
        self._transport.wait(seconds)

    def pause(self, error: TransientError) -> None:
        """Wait before the next try, longer after each failure in a row; raise SourceError after too many."""
        self._failures += 1
        transport = self._transport
        # Jitter, so that connections which failed together do not come back together.
        backoff = min(transport.stall_seconds / 2, 0.25 * 2**self._failures) * random.uniform(0.5, 1.0)  # noqa: S311
        delay = backoff if error.delay is None else error.delay
        self._asked += error.delay or 0.0
        left = transport.patience_seconds - self.seconds - (delay if self.is_listing or error.delay is None else 0.0)
        limit = ATTEMPTS_AT_FIRST if error.is_first_contact else ATTEMPTS
        if self._failures >= limit or left <= 0 or self._asked > MAX_WAIT_SECONDS:
            tries = f"{self._failures} tries" if self._failures > 1 else "one try"
            asked = f" and asks to wait {_seconds(error.delay)}" if error.delay else ""
            raise SourceError(f"{redact(self._what)}: {error}{asked}; gave up after {tries}") from error
        if error.delay is None:
            transport.wait(backoff)
        else:
            self.wait_as_asked(error.delay)


class Response:
    """An answer and its body, with errors translated. It ends its connection when the download is stopped."""

    def __init__(
        self, transport: Transport, response: urllib3.BaseHTTPResponse, address: Address, retries: Retries
    ) -> None:
        self._transport, self._response = transport, response
        # http.client's own, which reads from the socket into a buffer: urllib3's copies, at a tenth of all our CPU.
        self._body: http.client.HTTPResponse = response._fp  # type: ignore[attr-defined]
        self._raw = self._counted()
        self._is_wanted = response.status in (200, 206)
        until = retries.until if self._is_wanted else time.monotonic() + MAX_DRAIN_SECONDS
        self._clock = BodyClock(retries.window, until)
        self._is_reading = False
        self._ended_by: Exception | None = None
        self.address = address
        """Where the bytes came from, after redirects."""
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        transport.opened.add(self)

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
        """Give the connection back, or end it where the body was not read to its end."""
        if not self._is_wanted and (self._body.chunked or self._body.length is not None):
            # A redirect's few words are read, so that its connection can be used again.
            self._is_reading = True
            with suppress(OSError, http.client.HTTPException, ValueError):
                self._body.read(MAX_DRAINED)
        self._transport.opened.discard(self)
        if self._body.isclosed():
            self._response.release_conn()
        self._response.close()

    def overdue(self, now: float) -> Exception | None:
        """Say what is wrong with the time that its body takes."""
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
        """Fill a buffer; less than it holds, or 0, at the end of the body."""
        self._is_reading = True
        try:
            count = self._body.readinto(buffer)
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise self._ended_by or self._transport.translated(exc) from exc
        finally:
            self._is_reading = False
        if self._transport.is_stopped:
            raise StoppedError
        if count == 0 and self._ended_by:
            raise self._ended_by
        return count

    @property
    def waiting(self) -> int:
        """Bytes that have arrived and were not read yet, as far as the kernel holds them."""
        try:
            return int.from_bytes(ioctl(self._body.fp.fileno(), FIONREAD, bytes(4)), sys.byteorder)
        except (OSError, ValueError, AttributeError):
            return 0  # closed meanwhile

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


def _host(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


def _redirected(address: Address, location: str, *, is_listing: bool) -> Address:
    target = address.redirected(checked_location(location))
    if is_listing and address.url.startswith("https:") and not target.url.startswith("https:"):
        # Files are checked against the hashes of a listing; nothing else vouches for the listing.
        raise SourceError(f"{redact(address.url)} redirects a listing from https to {redact(target.url)}; refused")
    return target


def _decoder(encoding: str) -> Callable[[bytes], Iterator[bytes]]:
    """Expand what was compressed although nobody asked for it, a little at a time."""
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


def _headers(address: Address) -> dict[str, str]:
    headers = {"User-Agent": f"tritonops/{__version__}", "Accept-Encoding": "identity"}
    if address.token:
        return headers | {"Authorization": f"Bearer {address.token}"}
    user, at, _ = urlsplit(address.url).netloc.rpartition("@")
    if not at:
        return headers
    from urllib3.util import make_headers

    return headers | {"Authorization": make_headers(basic_auth=unquote(user))["authorization"]}


def _seconds(delay: float) -> str:
    return f"{delay:.0f} seconds" if delay < 1e9 else "more seconds than anybody has"
