"""Errors of HTTP: which are worth another attempt, and what to do about the others."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from tritonops.display_text import clip, one_line
from tritonops.errors import AccessDeniedError, SourceError
from tritonops.models.http.address_with_token import Address
from tritonops.redaction import redact

if TYPE_CHECKING:
    from tritonops.models.http.route import Route

TRANSIENT_STATUSES = {408, 429, 500, 502, 503, 504}
MAX_WORDS = 300
"""Characters of a server's own words that an error quotes."""


class TransientError(Exception):
    """A failure that another attempt may fix, after `delay` seconds where the server named them."""

    def __init__(self, reason: str, *, delay: float | None = None, is_first_contact: bool = False) -> None:
        super().__init__(reason)
        self.delay, self.is_first_contact = delay, is_first_contact


class StalledError(TransientError):
    """A connection that was too slow for too long."""


class StoppedError(Exception):
    """The download was interrupted: ends its threads. What arrived stays."""


def translated(error: Exception, route: Route | None = None, *, is_first_contact: bool = False) -> Exception:
    """Translate what requests, urllib3 and http.client raise into TransientError or SourceError; leave others alone."""
    import urllib3
    from requests.exceptions import InvalidURL, RequestException

    known = (RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
    if not isinstance(error, known):
        return error
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _untrusted(cause, route)
        if isinstance(cause, InvalidURL | urllib3.exceptions.LocationValueError):
            return SourceError(f"not a URL that can be asked for: {_words(cause)}")
        if isinstance(cause, urllib3.exceptions.InvalidHeader):
            return SourceError(f"the answer is malformed: {_words(cause)}")
    return TransientError(_reason(causes, route), is_first_contact=is_first_contact)


def refusal(status: int, headers: Mapping[str, str], address: Address, through: str = "") -> SourceError:
    """Word what a status means that no other attempt will change, and what to do about it."""
    code = headers.get("X-Error-Code")
    what = f"{through}{redact(address.url)} answered {status}"
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
    words = _MEANINGS.get(code or "") or clip(one_line(headers.get("X-Error-Message", "")), MAX_WORDS)
    return SourceError(f"{what}: {words or 'not to be had there'}")


_MEANINGS = {
    "RepoNotFound": "no such repository",
    "RevisionNotFound": "no such revision",
    "EntryNotFound": "no such file",
}


def _untrusted(error: ssl.SSLCertVerificationError, route: Route | None) -> SourceError:
    against = f"; it was checked against {route.authorities}" if route else ""
    return SourceError(
        f"certificate verify failed: {error.verify_message or _words(error)}{against}",
        hint="A certificate authority of your own: name its file in SSL_CERT_FILE.",
    )


def _reason(causes: list[BaseException], route: Route | None) -> str:
    import urllib3

    words = _known(causes) or _words(causes[0])
    if route is None or route.proxy is None:
        return words
    never_left = any(
        isinstance(c, urllib3.exceptions.ProxyError | urllib3.exceptions.NewConnectionError) for c in causes
    )
    return f"the proxy {route.proxy} failed: {words}" if never_left else f"through the proxy {route.proxy}: {words}"


def _known(causes: Sequence[BaseException]) -> str | None:
    for error in causes:
        if isinstance(error, http.client.LineTooLong):
            return "the answer has a header of more than 64 KiB"
        if isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected):
            return "the answer is not HTTP"
    return next((words for words, kinds in _kinds().items() if any(_is(error, kinds) for error in causes)), None)


def _is(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    from urllib3.exceptions import NameResolutionError, NewConnectionError

    # To urllib3, a connection that was refused is one that has timed out.
    is_wrapper = isinstance(error, NewConnectionError) and not isinstance(error, NameResolutionError)
    return isinstance(error, kinds) and not is_wrapper


@cache
def _kinds() -> dict[str, tuple[type[BaseException], ...]]:
    from urllib3 import exceptions

    # RemoteDisconnected is a ConnectionResetError.
    lost = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
    return {
        "connection refused": (ConnectionRefusedError,),
        "the host name cannot be resolved": (socket.gaierror, exceptions.NameResolutionError),
        "connection lost": (*lost, http.client.IncompleteRead, exceptions.IncompleteRead),
        "no answer in time": (TimeoutError, exceptions.TimeoutError),
    }


def _words(error: BaseException) -> str:
    """Quote an exception without what a URL in it may contain: a password, a signature."""
    nested = [argument for argument in error.args if isinstance(argument, BaseException)]
    text = _words(nested[-1]) if nested else str(error) or type(error).__name__
    return clip(redact(one_line(text)), MAX_WORDS)


def _causes(error: BaseException) -> list[BaseException]:
    """List what an exception was made from, itself first: urllib3, requests and PySocks wrap one in another, each in a
    way of its own.
    """
    from urllib3.exceptions import NewConnectionError

    found = [error]
    for each in found:
        wrapped = [getattr(each, name, None) for name in ("reason", "original_error", "socket_err", "__cause__")]
        # Raised without `from` for a SOCKS proxy; in other contexts are exceptions that were dealt with.
        context = each.__context__ if isinstance(each, NewConnectionError) else None
        for inner in [*each.args, *wrapped, context]:
            if isinstance(inner, BaseException) and not any(inner is other for other in found):
                found.append(inner)
    return found
