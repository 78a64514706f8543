"""Header fields of an answer, without the `email` package: parsing mail was a quarter of what a small file costs."""

from __future__ import annotations

import http.client
import re
from types import FunctionType
from typing import Any, BinaryIO

MAX_FIELDS, MAX_LINE = 100, 1 << 16
"""The limits of http.client."""
_NAME = re.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class HeaderFields(http.client.HTTPMessage):
    """The fields in their order; names are compared without regard to case."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[str, str] = {}

    def add(self, name: str, value: str) -> None:
        """Append a field."""
        self.set_raw(name, value)
        self._first.setdefault(name.lower(), value)

    def get(self, name: str, failobj: Any = None) -> Any:
        """Return the first field of that name."""
        return self._first.get(name.lower(), failobj)

    def get_all(self, name: str, failobj: Any = None) -> Any:
        """Return all fields of that name."""
        lower = name.lower()
        return [value for field, value in self.raw_items() if field.lower() == lower] or failobj

    def items(self) -> list[tuple[str, str]]:
        """Return all fields."""
        return list(self.raw_items())

    def is_multipart(self) -> bool:
        """Deny that this is mail, whatever the Content-Type."""
        return False


def read_header_fields(stream: BinaryIO) -> HeaderFields:
    """Read header fields up to the empty line. Raises http.client.HTTPException for a line that is none."""
    fields = HeaderFields()
    name, value = "", ""
    for _ in range(MAX_FIELDS + 1):
        line = stream.readline(MAX_LINE + 1)
        if len(line) > MAX_LINE:
            raise http.client.LineTooLong("header line")
        if line[:1] in b" \t" and line.strip() and name:  # the value goes on
            value = f"{value} {_text(line)}"
            continue
        if name:
            fields.add(name, value)
        if line in (b"\r\n", b"\n", b""):
            return fields
        name, colon, value = _text(line).partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise http.client.HTTPException("a header line is malformed")
        value = value.strip(" \t")
    raise http.client.HTTPException(f"got more than {MAX_FIELDS} headers")


def _text(line: bytes) -> str:
    return line.decode("iso-8859-1").strip("\r\n \t")


begin: Any = FunctionType(
    http.client.HTTPResponse.begin.__code__, {**vars(http.client), "parse_headers": read_header_fields}, "begin"
)
"""http.client.HTTPResponse.begin, which looks `parse_headers` up among its module's names, with ours in that place."""
