"""Protobuf messages read in place: only what is asked for, without copying the rest.

The wire format: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tritonops.errors import GraphError, UnreadableFileError
from tritonops.files import open_regular

_T = TypeVar("_T")


class Content:
    """The bytes, and how much of them may still be looked at: no graph that can be served comes near these bounds."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.fields_left = 2_000_000
        self.kept_left = 100_000


class Message:
    """One protobuf message: a stretch of the file, whose fields are found without copying their bytes."""

    def __init__(self, file: Content, start: int, end: int) -> None:
        self._file, self._start, self._end = file, start, end

    def number(self, field: int) -> int:
        """Read a number; 0 where the field is not set. Raises ValueError."""
        return self.number_if_any(field) or 0

    def number_if_any(self, field: int) -> int | None:
        """Read a number; None where the field is not set. Raises ValueError."""
        value = None
        for number, start, end in self._fields():
            if number == field:
                if end >= 0:
                    raise malformed()
                value = start
        return value

    def text(self, field: int) -> str:
        """Read a string; "" where the field is not set. Raises ValueError."""
        last = (0, 0)
        for number, start, end in self._fields():
            if number == field:
                last = (start, _end_of_bytes(end))
        return self._decoded(*last)

    def _decoded(self, start: int, end: int) -> str:
        try:
            return self._file.data[start:end].decode()
        except UnicodeDecodeError as exc:
            raise malformed() from exc

    def texts(self, field: int) -> Iterator[str]:
        """Read every string of a repeated field. Raises ValueError."""
        for number, start, end in self._fields():
            if number == field:
                yield self._decoded(start, _end_of_bytes(end))

    def numbers(self, field: int) -> Iterator[int]:
        """Read every number of a repeated field, packed or not. Raises ValueError."""
        for number, start, end in self._fields():
            if number != field:
                continue
            if end < 0:
                yield start
                continue
            while start < end:
                value, start = _varint(self._file.data, start, end)
                yield value

    def messages(self, *fields: int) -> Iterator[Message]:
        """Find the messages in these fields. Raises ValueError."""
        for number, start, end in self._fields():
            if number in fields:
                yield Message(self._file, start, _end_of_bytes(end))

    def kept(self, *fields: int) -> Iterator[Message]:
        """The same, for messages of which something is kept in memory."""
        for message in self.messages(*fields):
            self._file.kept_left -= 1
            if self._file.kept_left < 0:
                raise ValueError("has too many inputs, outputs or properties for an ONNX model")
            yield message

    @property
    def size(self) -> int:
        """Its number of bytes."""
        return self._end - self._start

    def contains(self, data: bytes) -> bool:
        """Whether these bytes are anywhere in it: faster by far than to look at each field."""
        return self._file.data.find(data, self._start, self._end) >= 0

    def _fields(self) -> Iterator[tuple[int, int, int]]:
        """Give the number of each field with the start and end of its bytes; a varint's value with the end -1."""
        file, data, at, end = self._file, self._file.data, self._start, self._end
        while at < end:
            file.fields_left -= 1
            if file.fields_left < 0:
                raise ValueError("has too many fields for an ONNX model")
            tag, at = (data[at], at + 1) if data[at] < 0x80 else _varint(data, at, end)
            number, wire = tag >> 3, tag & 7
            if wire == 0:
                value, at = _varint(data, at, end)
                yield number, value, -1
                continue
            size = 8 if wire == 1 else 4 if wire == 5 else 0
            if wire == 2:
                size, at = _varint(data, at, end)
            if not number or wire not in (1, 2, 5) or at + size > end:
                raise malformed()
            yield number, at, at + size
            at += size


def malformed() -> ValueError:
    """Make the error for bytes that are no such message."""
    return ValueError("is not an ONNX file, or is cut short")


def _end_of_bytes(end: int) -> int:
    if end < 0:
        raise malformed()
    return end


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise malformed()


def read_message(path: Path, read: Callable[[Message], _T], *, explain: Callable[[Path], str | None]) -> _T:
    """Read a file that is one message. Raises GraphError, with what `explain` says of a file that is none."""
    try:
        with open_regular(path) as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with content:
            return read(Message(Content(content), 0, len(content)))
    except UnreadableFileError as exc:
        raise GraphError(str(exc)) from exc
    except ValueError as exc:
        raise GraphError(f"{path}: {explain(path) or exc}") from exc
    except OSError as exc:
        raise GraphError(f"cannot read {path}: {exc.strerror}") from exc
