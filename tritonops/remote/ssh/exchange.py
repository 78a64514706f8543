"""The data of a session: stdin out, stdout and stderr in, all at once, so that no full pipe blocks another."""

from __future__ import annotations

import os
import select
import selectors
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from typing import BinaryIO, Protocol

from tritonops.remote.ssh.multiplex import Session

_READ_SIZE = 1 << 18
_KEPT = 4000


class StdinError(Exception):
    """The stdin for a command could not be read to its end. An OSError of a sink is another thing: stdout is full."""


class Sink(Protocol):
    """Takes the output of a stream as it comes."""

    def write(self, data: bytes) -> object:
        """Take a part of it."""

    def end(self) -> None:
        """Take note that the stream has ended."""


@dataclass
class Lines:
    """Hands each line of a stream on as soon as it is whole, and keeps all. `errors` is for bytes that are no UTF-8."""

    on_line: Callable[[str], None] | None
    keeps_text: bool = True
    errors: str = "replace"
    _parts: list[str] = field(default_factory=list)
    _rest: list[bytes] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it; empty where it is not kept."""
        return "".join(self._parts)

    def write(self, data: bytes) -> None:
        """Take a part of the stream."""
        if b"\n" not in data:  # joined once, since a line may be long
            self._rest.append(data)
            return
        *lines, rest = b"".join([*self._rest, data]).split(b"\n")
        self._rest = [rest]
        for line in lines:
            self._take(line, "\n")

    def end(self) -> None:
        """Take the last line, which has no end."""
        if rest := b"".join(self._rest):
            self._take(rest, "")

    def _take(self, line: bytes, end: str) -> None:
        text = line.decode(errors=self.errors)
        if self.keeps_text:
            self._parts.append(text + end)
        if self.on_line:
            self.on_line(text)


@dataclass
class AfterMarker:
    """Passes a stream on from the line of `marker`; `before` has the beginning of what came earlier, as a greeting."""

    marker: bytes
    sink: Sink
    is_found: bool = False
    before: bytes = b""
    _unsearched: bytes = b""

    def write(self, data: bytes) -> None:
        """Take a part of the stream."""
        if self.is_found:
            self.sink.write(data)
            return
        line = self.marker + b"\n"
        earlier, found, after = (self._unsearched + data).partition(line)
        self.is_found = bool(found)
        searched = len(earlier) if found else max(0, len(earlier) - len(line) + 1)
        self.before = (self.before + earlier[:searched])[:_KEPT]
        self._unsearched = earlier[searched:]
        if after:
            self.sink.write(after)

    def end(self) -> None:
        """End the sink."""
        self.before = (self.before + self._unsearched)[:_KEPT]
        self.sink.end()


def exchange(session: Session, data: bytes, *, stdin: BinaryIO | None = None, stdout: Sink, stderr: Sink) -> int | None:
    """Send `data`, and then all of `stdin`, to a session, read both streams to their ends, and give the exit code.

    None where a signal ended the command, or its connection ended. A command that ends early does not wait for its
    stdin. Raises StdinError, and what the sinks raise.
    """
    failures: list[StdinError] = []
    sinks: Mapping[FileIO, Sink] = {session.stdout: stdout, session.stderr: stderr}
    unsent = memoryview(data)
    os.set_blocking(session.stdin.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(session.stdin, selectors.EVENT_WRITE)
        for file in sinks:
            selector.register(file, selectors.EVENT_READ)
        while not all(file.closed for file in sinks):
            for key, _ in selector.select():
                assert isinstance(key.fileobj, FileIO)
                file = key.fileobj
                if file is session.stdin:
                    unsent = _send(file, unsent)
                    if not unsent:
                        selector.unregister(file)
                        _send_rest(file, stdin, failures)
                elif not _read(file, sinks[file]):
                    selector.unregister(file)
                    file.close()
    code = session.control.exit_code()
    if failures:
        raise failures[0]
    return code


def _send(target: FileIO, data: memoryview) -> memoryview:
    """Send what fits, and give the rest; nothing is left for a command that has ended."""
    try:
        return data[target.write(data) or 0 :]
    except BrokenPipeError:
        return data[:0]


def _send_rest(target: FileIO, stdin: BinaryIO | None, failures: list[StdinError]) -> None:
    """Send all of `stdin`, if there is one, and close."""
    if stdin is None:
        target.close()
        return
    os.set_blocking(target.fileno(), True)
    # In a thread, since not every file can be waited for; a thread that waits for a terminal ends with the process.
    threading.Thread(target=_copy, args=(stdin, target, failures), daemon=True).start()


def _copy(source: BinaryIO, target: FileIO, failures: list[StdinError]) -> None:
    with suppress(BrokenPipeError, ValueError), target:  # a command may end without its stdin
        while data := _next_part(source, failures):
            target.write(data)


def _next_part(source: BinaryIO, failures: list[StdinError]) -> bytes:
    """Read on, and wait where the source does not block; empty at its end, or after a failure."""
    try:
        while (data := source.read(_READ_SIZE)) is None:
            select.select([source], [], [])
    except OSError as exc:
        failures.append(StdinError(f"stdin cannot be read: {exc.strerror}"))
        return b""
    return data


def _read(file: FileIO, sink: Sink) -> bool:
    data = file.read(_READ_SIZE)
    if data:
        sink.write(data)
    else:
        sink.end()
    return bool(data)
