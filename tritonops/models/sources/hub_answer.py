"""The Hub's listing of a repository: parsed while it arrives, and believed only where every value is what it should be.

What is taken from it becomes names on disk and pins in models.lock, so what is wrong is refused, not corrected. Memory
is bounded by the files of one version and by the largest value, not by the listing.
"""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tritonops.display_text import clip, one_line
from tritonops.errors import SourceError
from tritonops.models.catalog.lockfile import is_inside
from tritonops.models.http.response_headers import MAX_SIZE

MAX_VALUE = 1 << 21
"""Characters of one value: an entry of the listing, or a part of it that is not needed here, such as the model card."""
MAX_FILES = 10_000
"""Files of one version; the Hub advises no more for a folder."""
MAX_PATH, MAX_NAME = 1024, 255
"""Bytes of a path, and of a name in it, as filesystems have it."""
MAX_EXAMPLES = 5_000
"""Names kept to tell which of them is like the one that was not found."""

_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository: large ones have a SHA-256, small ones git's hash."""

    path: str
    size: int
    sha256: str | None
    git_oid: str | None


@dataclass
class HubListing:
    """What a listing says of the files that were selected."""

    commit: str = ""
    files: list[HubFile] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    """Names of other files."""


def parse_listing(chunks: Iterable[bytes], is_selected: Callable[[str], bool]) -> HubListing:
    """Read a listing as /api/models/{repo}/revision/{revision}?blobs=true words it. Raises SourceError."""
    try:
        listing = _parse(_JsonText(chunks), is_selected)
    except RecursionError as exc:
        raise SourceError("the listing is refused: it is nested too deeply") from exc
    except ValueError as exc:
        raise SourceError(f"the listing is refused: {_reason(exc)}") from exc
    return listing


def _parse(text: _JsonText, is_selected: Callable[[str], bool]) -> HubListing:
    listing, seen = HubListing(), set[str]()
    for key in text.members():
        if key in ("sha", "siblings"):
            if key in seen:
                raise ValueError(f"it has {key!r} twice")
            seen.add(key)
        if key == "sha":
            listing.commit = _commit(text.value())
        elif key == "siblings":
            for entry in text.items():
                _take(entry, listing, is_selected)
        else:
            text.value()
    for key in ("sha", "siblings"):
        if key not in seen:
            raise ValueError(f"it has no {key!r}")
    _refuse_collisions([file.path for file in listing.files])
    return listing


def _take(entry: Any, listing: HubListing, is_selected: Callable[[str], bool]) -> None:
    path = _path(_member(entry, "rfilename", "an entry"))
    if is_selected(path):
        if len(listing.files) == MAX_FILES:
            raise ValueError(f"more than {MAX_FILES:,} files of one version")
        listing.files.append(_file(path, entry))
    elif len(listing.examples) < MAX_EXAMPLES:
        listing.examples.append(path)


def _file(path: str, entry: dict[str, Any]) -> HubFile:
    if (lfs := entry.get("lfs")) is not None:
        size, sha256 = _member(lfs, "size", path), _member(lfs, "sha256", path)
        return HubFile(path, _size(size, path), _hash(sha256, 64, path), None)
    size, git_oid = _member(entry, "size", path), _member(entry, "blobId", path)
    return HubFile(path, _size(size, path), None, _hash(git_oid, 40, path))


def _member(value: Any, key: str, what: str) -> Any:
    if not isinstance(value, dict) or key not in value:
        raise ValueError(f"{_quoted(what)} has no {key!r}")
    return value[key]


def _commit(value: Any) -> str:
    if not (isinstance(value, str) and _COMMIT.fullmatch(value)):
        raise ValueError(f"the commit {_quoted(value)} is not 40 or 64 hexadecimal digits")
    return value


def _path(value: Any) -> str:
    if not isinstance(value, str) or not is_inside(value):
        raise ValueError(f"{_quoted(value)} is not a path inside a repository")
    if len(value.encode()) > MAX_PATH or any(len(part.encode()) > MAX_NAME for part in value.split("/")):
        raise ValueError(f"{_quoted(value)} is longer than a file's name can be")
    return value


def _size(value: Any, path: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_SIZE:  # a bool is an int to isinstance
        raise ValueError(f"{_quoted(path)} has the size {_quoted(value)}")
    return value


def _hash(value: Any, digits: int, path: str) -> str:
    if not (isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{digits}}}", value)):
        raise ValueError(f"{_quoted(path)} has the hash {_quoted(value)}, which is not {digits} lower-case digits")
    return value


def _refuse_collisions(paths: list[str]) -> None:
    """Refuse names that are the same on some filesystem, and a file that would have to be a folder too."""
    names: dict[str, str] = {}
    for path in paths:
        folded = unicodedata.normalize("NFC", path.casefold())
        if folded in names:
            raise ValueError(f"{_quoted(path)} and {_quoted(names[folded])} are the same name on some filesystems")
        names[folded] = path
    for folded, path in names.items():
        parts = folded.split("/")
        for count in range(1, len(parts)):
            if "/".join(parts[:count]) in names:
                raise ValueError(f"a part of {_quoted(path)} is a file and a folder")


def _quoted(value: Any) -> str:
    # The repr of a number of 4,000 digits, or of a list of lists, is as long as the value.
    return clip(repr(one_line(value)) if isinstance(value, str) else one_line(json.dumps(value)[:200]), 100)


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "it is not JSON in UTF-8"
    return str(error)


class _JsonText:
    """A JSON document that is read one value at a time, as much of it as that takes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._decode = codecs.getincrementaldecoder("utf-8")("strict").decode
        self._text, self._at, self._is_complete = "", 0, False

    def members(self) -> Iterator[str]:
        """Go through the keys of the one object that the document has to be; read each one's value before the next."""
        for _ in self._separated("{", "}"):
            key = self.value()
            if not isinstance(key, str):
                raise ValueError("it is not a JSON object")
            self._expect(":", "")
            yield key
        if self._peek():
            raise ValueError("it goes on behind its end")

    def items(self) -> Iterator[Any]:
        """Go through a list."""
        return (self.value(_ENTRIES) for _ in self._separated("[", "]"))

    def value(self, decoder: json.JSONDecoder | None = None) -> Any:
        """Read the next value."""
        self._peek()
        while True:
            try:
                value, end = (decoder or _VALUES).raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._grow():
                    raise
                continue
            if end + _TAIL <= len(self._text) or not self._grow():
                self._at = end
                return value

    def _separated(self, begin: str, end: str) -> Iterator[None]:
        self._expect(begin, "")
        if self._peek() == end:
            self._at += 1
            return
        yield
        while self._expect(",", end) == ",":
            yield

    def _expect(self, sign: str, other: str) -> str:
        found = self._peek()
        if found not in (sign, other) or not found:
            raise ValueError(f"it has {_quoted(found)} where {sign!r} belongs" if found else "it ends early")
        self._at += 1
        return found

    def _peek(self) -> str:
        """Skip white space, and look at what comes next; nothing at the end."""
        if (sign := self._text[self._at : self._at + 1]) and sign not in _SPACE:
            return sign
        while True:
            if found := _MORE.search(self._text, self._at):
                self._at = found.start()
                return found[0]
            self._at = len(self._text)
            if not self._grow():
                return ""

    def _grow(self) -> bool:
        """Buffer at least twice as much unread text; False at the end of the document."""
        rest = self._text[self._at :]
        if len(rest) > MAX_VALUE:
            raise ValueError(f"a value of it has more than {MAX_VALUE:,} characters")
        parts, size = [rest], 0
        while size <= len(rest) and not self._is_complete:
            chunk = next(self._chunks, None)
            self._is_complete = chunk is None
            parts.append(self._decode(chunk or b"", final=chunk is None))
            size += len(parts[-1])
        if size:
            self._text, self._at = "".join(parts), 0
        return size > 0


_TAIL = 3
"""Characters behind a value that tell it is over: a number may go on with "e-1"."""
_SPACE = " \t\n\r"
_MORE = re.compile(f"[^{_SPACE}]")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it has {name}, which is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("an entry has a key twice")
    return value


_VALUES = json.JSONDecoder(parse_constant=_refuse_constant)
_ENTRIES = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique)
