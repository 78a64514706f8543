"""What of a URL may be shown: neither a password nor a query, which may contain a signature."""

from __future__ import annotations

import re

SERVER_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://([^\s/?#@]+@)?([\w.-]+|\[[\da-f:.%]+\])(:\d{1,5})?(/[^\s?#@]*)?", re.IGNORECASE
)
"""A URL from which a password can be told: in it, a "/" or an "@" has to be written as %2F or %40."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(\S+)")
_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")
_PATH_WITH_QUERY = re.compile(r"(/[^\s?]*)\?(?=\S*=)(\S*)")
_TOKEN = re.compile(r"\b(hf_)[A-Za-z0-9]{30,}|\b((?:Bearer|Basic) )[\w.~+/=-]+")
_PORT = re.compile(r"(\d{0,5}|PORT)['\")\]}>,.;:]*$")
_CLOSING = re.compile(r"['\")\]}>,.;:]*$")
"""What follows a URL in a sentence."""


def redact(text: str) -> str:
    """Take user names, passwords, queries and fragments out of the URLs of a text, and tokens of the Hub.

    A mask may cover more than the secret: a password may contain any character, an unescaped "/" or "@" too.
    """
    if "://" in text:
        text = _URL.sub(lambda match: match[1] + _redact_after_scheme(match[2]), text)
    if "?" in text:  # requests are logged without their host
        text = _PATH_WITH_QUERY.sub(lambda match: match[1] + _closing(match[2]), text)
    return _TOKEN.sub(lambda match: f"{match[1] or match[2]}***", text)


def redact_value(value: str) -> str:
    """Redact a value that may be a URL as a whole: a space does not end its password."""
    return redact(re.sub(r"\s", "%20", value) if _SCHEME.match(value) else value)


def _redact_after_scheme(rest: str) -> str:
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    colon, port = authority.rpartition(":")[1:]
    if "@" in authority or (colon and "@" in rest):
        rest = f"***@{rest.rpartition('@')[2]}"
    elif colon and not _PORT.match(port) and not authority.startswith("["):
        rest = f"***{rest[len(authority) :]}"
    shown = re.split("[?#]", rest, maxsplit=1)[0]
    return redact(shown) + (_closing(rest) if shown != rest else "")


def _closing(text: str) -> str:
    match = _CLOSING.search(text)
    return match[0] if match else ""
