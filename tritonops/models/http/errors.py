"""What went wrong on the way to a file: another try may help, or it will not, and what to do then."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tritonops.display_text import clip, one_line
from tritonops.errors import AccessDeniedError, SourceError
from tritonops.models.http.address import Address
from tritonops.redaction import redact

if TYPE_CHECKING:
    from tritonops.models.http.route import Route

TRANSIENT_STATUSES = {408, 429, 500, 502, 503, 504}
MAX_WORDS = 300
"""Characters of a server's own words that an error quotes."""


class TransientError(Exception):
    """A failure that another try may fix, after `delay` seconds where the server named them."""

    def __init__(self, reason: str, *, delay: float | None = None, is_first_contact: bool = False) -> None:
        super().__init__(reason)
        self.delay, self.is_first_contact = delay, is_first_contact


class StalledError(TransientError):
    """A connection that brought next to nothing for as long as it was given."""


class StoppedError(Exception):
    """The download was interrupted: ends its threads. What arrived stays."""


def translated(error: Exception, route: Route | None = None, *, is_first_contact: bool = False) -> Exception:
    """Translate what requests, urllib3 and http.client raise into TransientError or SourceError; leave others alone."""
    import urllib3
    from requests.exceptions import InvalidURL, RequestException

    known = (RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
    if not isinstance(error, known):
        return error
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _untrusted(cause, route)
        if isinstance(cause, InvalidURL | urllib3.exceptions.LocationValueError):
            return SourceError(f"not a URL that can be asked for: {_words(cause)}")
        if isinstance(cause, urllib3.exceptions.InvalidHeader):
            return SourceError(f"the answer is malformed: {_words(cause)}")
    return TransientError(_reason(causes, route), is_first_contact=is_first_contact)


def refusal(status: int, headers: Mapping[str, str], address: Address, through: str = "") -> SourceError:
    """Say what a status means that no other try will change, and what to do about it."""
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

    words = next((words for cause in causes if (words := _known(cause))), None) or _words(causes[0])
    if route is None or route.proxy is None:
        return words
    never_left = any(
        isinstance(c, urllib3.exceptions.ProxyError | urllib3.exceptions.NewConnectionError) for c in causes
    )
    return f"the proxy {route.proxy} failed: {words}" if never_left else f"through the proxy {route.proxy}: {words}"


def _known(error: BaseException) -> str | None:
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected):
        return "the answer is not HTTP"
    if isinstance(error, http.client.LineTooLong):
        return "the answer has a header of more than 64 KiB"
    text = str(error)
    return next((words for sign, words in _REASONS.items() if sign in text), None)


_REASONS = {
    "Connection refused": "connection refused",
    "Failed to resolve": "the host name cannot be resolved",
    "Read timed out": "no answer in time",
    "timed out": "no answer in time",
    "Connection reset": "connection lost",
    "Broken pipe": "connection lost",
    "Remote end closed": "connection lost",
    "IncompleteRead": "connection lost",
}


def _words(error: BaseException) -> str:
    """Quote an exception without what a URL in it may hold: a password, a signature."""
    nested = [argument for argument in error.args if isinstance(argument, BaseException)]
    text = _words(nested[-1]) if nested else str(error) or type(error).__name__
    return clip(redact(one_line(text)), MAX_WORDS)


def _causes(error: BaseException | None, depth: int = 8) -> Iterator[BaseException]:
    """Walk through what an exception was made from; urllib3 and requests wrap one in the other, in three ways."""
    if error is None or depth == 0:
        return
    yield error
    wrapped = [getattr(error, name, None) for name in ("reason", "original_error", "__cause__")]
    for inner in [*error.args, *wrapped]:
        if isinstance(inner, BaseException) and inner is not error:
            yield from _causes(inner, depth - 1)
