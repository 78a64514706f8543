"""Response headers, validated before use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from tritonops.display_text import clip, one_line
from tritonops.errors import SourceError

MAX_SIZE = 1 << 50
"""Bytes of a file, at most: more than any disk has."""
MAX_URL = 1 << 14

_DIGITS = re.compile("[0-9]{1,19}")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_RANGE = re.compile("bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|[*])", re.IGNORECASE)


@dataclass(frozen=True)
class ContentRange:
    """Which bytes an answer has; `total` is the size of the file, where the server knows it."""

    start: int
    end: int
    total: int | None


def content_length(headers: Mapping[str, str]) -> int | None:
    """Read how long a body is; None where it is unknown. Raises SourceError for what is no size, or two of them."""
    value = headers.get("Content-Length")
    if value is None:
        return None
    if headers.get("Transfer-Encoding"):
        raise SourceError("the answer is malformed: it has both a Content-Length and a Transfer-Encoding")
    return _size("Content-Length", value)


def content_range(headers: Mapping[str, str]) -> ContentRange:
    """Read which bytes a 206 has. Raises SourceError."""
    value = headers.get("Content-Range", "")
    found = _RANGE.fullmatch(value.strip(" \t"))
    if not found:
        raise _malformed("Content-Range", value)
    start, last, total = int(found[1]), int(found[2]), found[3]
    size = None if total == "*" else _size("Content-Range", total)
    if last < start or last >= (MAX_SIZE if size is None else size):
        raise _malformed("Content-Range", value)
    return ContentRange(start, last + 1, size)


def location(value: str) -> str:
    """Check where a redirect leads, absolute or relative, and quote what a URL cannot contain. Raises SourceError."""
    if len(value) > MAX_URL:
        raise SourceError(f"redirected to a URL of {len(value):,} characters; refused")
    if _CONTROL.search(value):
        raise _refused(value, "control characters")
    # http.client has read bytes as Latin-1: servers that quote nothing send UTF-8.
    target = quote(value.strip().encode("latin-1", errors="replace"), safe="!#$%&'()*+,/:;=?@[]~")
    try:
        parts = urlsplit(target)
        has_port = parts.port is None or parts.port > 0
    except ValueError as exc:
        raise _refused(value, f"not a URL ({one_line(str(exc))})") from exc
    if parts.scheme not in ("http", "https", ""):
        raise _refused(value, f"not HTTP but {parts.scheme}")
    if (parts.scheme or parts.netloc) and not parts.hostname:
        raise _refused(value, "a URL without a host")
    if not has_port:
        raise _refused(value, "a URL with port 0")
    if parts.username is not None or parts.password is not None:
        raise SourceError("redirected to a URL with a user name or a password in it; refused")
    return target


def _size(header: str, value: str) -> int:
    text = value.strip(" \t")
    if not _DIGITS.fullmatch(text) or int(text) > MAX_SIZE:
        raise _malformed(header, value)
    return int(text)


def _malformed(header: str, value: str) -> SourceError:
    return SourceError(f"the answer is malformed: {header} is {clip(one_line(value), 60)!r}")


def _refused(value: str, what: str) -> SourceError:
    return SourceError(f"redirected to {clip(one_line(value.partition('?')[0]), 200)!r}: {what}; refused")
