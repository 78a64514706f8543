"""HTTP as downloads need it: pooled connections, no token to strangers, failures split by what they call for."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tritonops import __version__
from tritonops.errors import AccessDeniedError, SourceError, TritonOpsError
from tritonops.models.address import Address, origin
from tritonops.redaction import redact

if TYPE_CHECKING:
    import urllib3

CONNECT_SECONDS = 10.0
MAX_HOPS = 5
MAX_WAIT_SECONDS, WORTH_SAYING_SECONDS = 600.0, 5.0
MAX_DRAINED = 1 << 16
ATTEMPTS = 8
"""Failures in a row, without a byte of progress, until a file is given up: three quarters of a minute."""
ATTEMPTS_AT_FIRST = 4
"""The same for a host that has not answered once: its name may be wrong, or the network away."""

_TRANSIENT = {408, 429, 500, 502, 503, 504}


class TransientError(Exception):
    """A failure that another try may mend, after `delay` seconds where the server named them."""

    def __init__(self, reason: str, *, delay: float | None = None, is_first_contact: bool = False) -> None:
        super().__init__(reason)
        self.delay, self.is_first_contact = delay, is_first_contact


class StoppedError(TritonOpsError):
    """The download was interrupted; what arrived stays. Threads end by it, nobody gets to see it."""

    def __init__(self) -> None:
        super().__init__("interrupted")


class Transport:
    """One pool of connections for all threads of a download."""

    def __init__(self, *, connections: int, stall_seconds: float, on_wait: Callable[[str], None]) -> None:
        import requests
        import urllib3
        from requests.adapters import HTTPAdapter

        self._session = requests.Session()
        self._adapter = HTTPAdapter(pool_connections=16, pool_maxsize=connections)
        self._timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=stall_seconds)
        self._on_wait = on_wait
        self._routes: dict[str, _Route] = {}
        self._pauses: dict[str, float] = {}
        self._met: set[str] = set()
        self.opened: set[Response] = set()
        self.shortest_wait: float | None = None
        """Seconds from a request to its answer, at best."""
        self._stopped = threading.Event()

    def close(self) -> None:
        """Close the connections; requests that wait for bytes end at once, with StoppedError."""
        self._stopped.set()
        for response in list(self.opened):
            response.interrupt()
        self._adapter.close()

    @property
    def is_stopped(self) -> bool:
        """Whether `close` was called."""
        return self._stopped.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep, unless the download is stopped: then raise StoppedError."""
        if self._stopped.wait(seconds):
            raise StoppedError

    def open(
        self,
        address: Address,
        headers: Mapping[str, str] | None = None,
        on_located: Callable[[Address], None] = lambda address: None,
    ) -> Response:
        """Follow redirects from `address` to the bytes, or raise what the status means. Close the response.

        Before a redirect is followed that vouches for ranges, as the Hub's do, `on_located` is told where it leads.
        """
        for _ in range(MAX_HOPS):
            response = Response(self, self._send(address, headers or {}), address)
            location = response.headers.get("Location")
            if response.status in (200, 206):
                return response
            response.close()
            if not (300 <= response.status < 400 and location):
                raise self._meaning(response)
            address = address.redirected(location)
            if response.headers.get("Accept-Ranges") == "bytes":
                on_located(address)
        raise SourceError(f"{redact(address.url)} redirects in circles")

    def get_json(self, address: Address) -> Any:
        """GET a JSON document, with patience."""

        def once() -> Any:
            with self.open(address) as response:
                return response.json()

        return self.patiently(once, address.url)

    def patiently(self, attempt: Callable[[], Any], what: str) -> Any:
        """Call `attempt` until it raises no TransientError, or raise SourceError after ATTEMPTS of them."""
        for failures in range(1, ATTEMPTS + 1):
            try:
                return attempt()
            except TransientError as exc:
                self.pause(exc, failures, what)
        raise AssertionError("pause() raises at the last failure")

    def pause(self, error: TransientError, failures: int, what: str) -> None:
        """Wait before the next try, longer after each failure in a row; raise SourceError after too many."""
        if failures >= (ATTEMPTS_AT_FIRST if error.is_first_contact else ATTEMPTS):
            raise SourceError(f"{redact(what)}: {error}; gave up after {failures} tries") from error
        # Jitter, so that connections which failed together do not come back together.
        backoff = min(30.0, 0.25 * 2**failures) * random.uniform(0.5, 1.0)  # noqa: S311
        self.wait(backoff if error.delay is None else error.delay)

    def _send(self, address: Address, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        url = urlsplit(address.url)
        self.wait(max(0.0, self._pauses.get(url.netloc.rpartition("@")[2], 0.0) - time.monotonic()))
        started = time.monotonic()
        with self.translated_errors(is_first_contact=url.netloc not in self._met):
            route = self._route(address.url)
            path = url._replace(scheme="", netloc="", path=url.path or "/", fragment="").geturl()
            # Not through the session: its cookies, hooks and redirects are half of what a small file costs.
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
        self._met.add(url.netloc)
        waited = time.monotonic() - started
        self.shortest_wait = min(waited, self.shortest_wait or waited)
        return response

    def _route(self, url: str) -> _Route:
        """Let requests find the way to a server, once: proxies and certificates of the environment, in its pool.

        Credentials of ~/.netrc are not sent.
        """
        server = origin(url)
        if server not in self._routes:
            import requests
            import urllib3

            request = requests.Request("GET", url).prepare()
            found = self._session.merge_environment_settings(url, {}, None, None, None)
            pool = self._adapter.get_connection_with_tls_context(
                request, found["verify"], proxies=found["proxies"], cert=found["cert"]
            )
            assert isinstance(pool, urllib3.HTTPConnectionPool)
            self._adapter.cert_verify(pool, url, found["verify"], found["cert"])  # type: ignore[no-untyped-call]
            is_absolute = self._adapter.request_url(request, found["proxies"]).startswith("http")
            self._routes[server] = _Route(pool, is_absolute)
        return self._routes[server]

    def _meaning(self, response: Response) -> Exception:
        status = response.status
        if status not in _TRANSIENT:
            return refusal(status, response.headers, response.address)
        delay = retry_after(response.headers.get("Retry-After"))
        if delay is not None:
            self._pause_host(response.address.url, delay)
        return TransientError(f"the server answered {status}", delay=delay)

    @contextmanager
    def translated_errors(self, *, is_first_contact: bool = False) -> Iterator[None]:
        """Turn what requests and urllib3 raise into TransientError, SourceError or StoppedError."""
        import requests
        import urllib3

        try:
            yield
        except (requests.exceptions.InvalidURL, urllib3.exceptions.SSLError) as exc:
            raise SourceError(_reason(exc)) from exc
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as exc:
            self.wait(0)
            raise TransientError(_reason(exc), is_first_contact=is_first_contact) from exc

    def _pause_host(self, url: str, delay: float) -> None:
        """One connection was told to wait: let the others wait too, and not learn it one by one."""
        if delay > MAX_WAIT_SECONDS:
            raise SourceError(f"{redact(url)} asks to come back in {delay:.0f} seconds", hint="Try again later.")
        host, until = urlsplit(url).netloc.rpartition("@")[2], time.monotonic() + delay
        if delay >= WORTH_SAYING_SECONDS and until > self._pauses.get(host, 0.0) + 1.0:
            self._on_wait(f"{host} is busy and asks to wait {delay:.0f} seconds")
        self._pauses[host] = max(self._pauses.get(host, 0.0), until)


@dataclass(frozen=True)
class _Route:
    """How to reach a server: connections to it or to its proxy, which may want absolute URLs."""

    pool: urllib3.HTTPConnectionPool
    is_absolute: bool


class Response:
    """An answer and its body, with errors translated. It ends its connection when the download is stopped."""

    def __init__(self, transport: Transport, response: urllib3.BaseHTTPResponse, address: Address) -> None:
        self._transport, self._response = transport, response
        # http.client's own, which reads from the socket into a buffer: urllib3's copies, at a tenth of all our CPU.
        self._body: http.client.HTTPResponse = response._fp  # type: ignore[attr-defined]
        self.address = address
        """Where the bytes came from, after redirects."""
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        transport.opened.add(self)

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back, or end it where the body was not read to its end."""
        self._transport.opened.discard(self)
        if self.status not in (200, 206):
            # A redirect's few words are read, so that its connection can be used again.
            with suppress(OSError, http.client.HTTPException):
                self._body.read(MAX_DRAINED)
        if self._body.isclosed():
            self._response.release_conn()
        self._response.close()

    def interrupt(self) -> None:
        """End a read that waits in another thread."""
        # It may have ended by itself meanwhile.
        with suppress(ValueError, RuntimeError, OSError):
            self._response.shutdown()

    def read_into(self, buffer: memoryview) -> int:
        """Fill a buffer; less than it holds, or 0, at the end of the body."""
        with self._transport.translated_errors():
            count = self._body.readinto(buffer)
        if self._transport.is_stopped:
            raise StoppedError
        return count

    def json(self) -> Any:
        """Read the body as a JSON document."""
        with self._transport.translated_errors():
            body = self._response.read(decode_content=True)
        try:
            return json.loads(body)
        except ValueError as exc:
            raise SourceError(f"{redact(self.address.url)} answered with something that is not JSON") from exc


def refusal(status: int, headers: Mapping[str, str], address: Address) -> SourceError:
    """Say what a status means that no other try will change, and what to do about it."""
    code = headers.get("X-Error-Code")
    what = f"{redact(address.url)} answered {status}"
    if code == "GatedRepo":
        hint = "The repository is gated: accept its terms on its page, then set HF_TOKEN to a token of that account."
        return AccessDeniedError(what, hint=hint)
    if status in (401, 403):
        hint = (
            "HF_TOKEN is set, but it is not valid here, or may not read this; or there is no such repository."
            if address.token
            else "Set HF_TOKEN if it is private; it is also what the Hub answers where there is no such repository."
        )
        return AccessDeniedError(what, hint=hint)
    return SourceError(f"{what}: {_MEANINGS.get(code or '', headers.get('X-Error-Message', 'not to be had there'))}")


_MEANINGS = {
    "RepoNotFound": "no such repository",
    "RevisionNotFound": "no such revision",
    "EntryNotFound": "no such file",
}


def retry_after(value: str | None) -> float | None:
    """Read a Retry-After header, in seconds or as a date; None where there is none, or none to understand."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    import email.utils

    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _headers(address: Address) -> dict[str, str]:
    headers = {"User-Agent": f"tritonops/{__version__}", "Accept-Encoding": "identity"}
    if address.token:
        return headers | {"Authorization": f"Bearer {address.token}"}
    user, at, _ = urlsplit(address.url).netloc.rpartition("@")
    if not at:
        return headers
    from urllib3.util import make_headers

    return headers | {"Authorization": make_headers(basic_auth=unquote(user))["authorization"]}


def _reason(error: Exception) -> str:
    text = str(error)
    for sign, words in _REASONS.items():
        if sign in text:
            return words
    return redact(text)


_REASONS = {
    "Connection refused": "connection refused",
    "Failed to resolve": "the host name cannot be resolved",
    "timed out": "no byte came in time",
    "Connection reset": "connection lost",
    "Remote end closed": "connection lost",
    "IncompleteRead": "connection lost",
}
