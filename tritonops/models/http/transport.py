"""HTTP as downloads need it: pooled connections, no token to strangers, failures split by what they call for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from tritonops import __version__
from tritonops.errors import SourceError
from tritonops.models.http.address_with_token import Address
from tritonops.models.http.errors import TRANSIENT_STATUSES, StoppedError, TransientError, refusal, translated
from tritonops.models.http.response import Response
from tritonops.models.http.response_headers import location as checked_location
from tritonops.models.http.retries import ATTEMPTS, MAX_WAIT_SECONDS, Clock, Retries, format_delay, retry_after
from tritonops.models.http.routes import Routes
from tritonops.models.http.watchdog import Watchdog
from tritonops.redaction import redact

if TYPE_CHECKING:
    import urllib3


_T = TypeVar("_T")
CONNECT_SECONDS = 10.0
MAX_HOPS = 5
WORTH_SAYING_SECONDS = 5.0


class Transport:
    """One pool of connections for all threads of a download."""

    def __init__(
        self,
        *,
        max_connections: int,
        stall_seconds: float,
        on_wait: Callable[[str], None],
        environ: Mapping[str, str],
        clock: Clock | None = None,
    ) -> None:
        import urllib3

        self._watchdog = Watchdog(stall_seconds)
        self._clock = clock or self._watchdog
        """What retries wait by."""
        self._routes = Routes(self._watchdog, environ, max_connections=max_connections)
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
        self._watchdog.stop()
        self._routes.close()

    def retries(self, what: str, *, idle_seconds: float = 0.0) -> Retries:
        """Count the failures of one file, `what` in messages, of which `idle_seconds` have passed already."""
        return self._retries(what, idle_seconds=idle_seconds)

    def _retries(self, what: str, *, is_listing: bool = False, idle_seconds: float = 0.0) -> Retries:
        watchdog = self._watchdog
        return Retries(
            self._clock,
            what,
            stall_seconds=watchdog.stall_seconds,
            patience_seconds=watchdog.patience_seconds,
            is_listing=is_listing,
            idle_seconds=idle_seconds,
        )

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
            response = Response(self._watchdog, self._send(address, headers or {}, retries), address, retries)
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
        retries = self._retries(what, is_listing=True)
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
            if self._watchdog.is_stopped:
                raise StoppedError from exc
            raise translated(exc, route, is_first_contact=url.netloc not in self._met) from exc
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

    def _pause_host(self, url: str, delay: float) -> None:
        """One connection was told to wait: let the others wait too, and not learn it one by one."""
        if delay > MAX_WAIT_SECONDS:
            raise SourceError(f"{redact(url)} asks to come back in {format_delay(delay)}", hint="Try again later.")
        host, until = _host(urlsplit(url)), time.monotonic() + delay
        if delay >= WORTH_SAYING_SECONDS and until > self._pauses.get(host, 0.0) + 1.0:
            self._on_wait(f"{host} is busy and asks to wait {delay:.0f} seconds")
        self._pauses[host] = max(self._pauses.get(host, 0.0), until)


def _host(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


def _redirected(address: Address, location: str, *, is_listing: bool) -> Address:
    target = address.redirected(checked_location(location))
    if is_listing and address.url.startswith("https:") and not target.url.startswith("https:"):
        # Files are checked against the hashes of a listing; nothing else vouches for the listing.
        raise SourceError(f"{redact(address.url)} redirects a listing from https to {redact(target.url)}; refused")
    return target


def _headers(address: Address) -> dict[str, str]:
    headers = {"User-Agent": f"tritonops/{__version__}", "Accept-Encoding": "identity"}
    if address.token:
        return headers | {"Authorization": f"Bearer {address.token}"}
    user, at, _ = urlsplit(address.url).netloc.rpartition("@")
    if not at:
        return headers
    from urllib3.util import make_headers

    return headers | {"Authorization": make_headers(basic_auth=unquote(user))["authorization"]}
