"""The one place that writes for people: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from tritonops.errors import InputError, TritonOpsError
from tritonops.redaction import redact


def note(message: str) -> None:
    """Say something that is not the result: progress, a warning, what comes next."""
    print(redact(message), file=sys.stderr, flush=True)


@dataclass
class _JsonOutput:
    """What this run and its current task do with JSON."""

    one_document_a_line: bool = False
    printed: bool = False


_json = _JsonOutput()


def note_at_terminal(message: str) -> None:
    """Say what only a person at a terminal wants to know, such as a count below a table."""
    if sys.stderr.isatty():
        note(message)


def print_json(value: object) -> None:
    """Print one JSON document; dataclasses become objects, paths become strings.

    Where several tasks run, each document is one line.
    """
    _json.printed = True
    print(json.dumps(value, indent=None if _json.one_document_a_line else 2, default=_plain), flush=True)


def print_json_documents_as_lines() -> None:
    """Print each document on one line from now on, for a command line of several tasks."""
    _json.one_document_a_line = True


def begin_task() -> None:
    """Forget what an earlier task printed."""
    _json.printed = False


def has_printed_json() -> bool:
    """Whether this task has printed its document."""
    return _json.printed


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under headings: fitted to a terminal, else aligned text with all columns. None shows as "-"."""
    cells = [["-" if value is None else str(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        from tasks.output.table import print_fitted

        print_fitted(columns, cells)
    else:
        _print_plain_table(columns, cells)


def _print_plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [[column.upper() for column in columns], *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def drawable(picture: str) -> str:
    """Redraw a picture of block characters with those that stdout's encoding has."""
    try:
        picture.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return picture.translate(str.maketrans("░▒▓█", ".+*#"))
    return picture


def print_diff(diff: str) -> None:
    """Print a unified diff, coloured at a terminal unless NO_COLOR is set."""
    colours = {"+": "\033[32m", "-": "\033[31m", "@": "\033[36m"}
    for line in diff.splitlines():
        colour = colours.get(line[:1]) if coloured(sys.stdout) else None
        print(f"{colour}{line}\033[0m" if colour else line)


def coloured(stream: Any) -> bool:
    """Whether colour belongs on this stream: a terminal, and no NO_COLOR (https://no-color.org)."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR")


def confirm(question: str, *, yes: bool) -> None:
    """Ask at a terminal; elsewhere only `--yes` will do, and its absence is an InputError.

    Raises TritonOpsError for any answer but yes, so that nobody takes it for done.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError(f"{question} Not a terminal, cannot prompt.", hint="Use --yes to confirm.")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise TritonOpsError("nothing was changed: the answer was not yes")


def count(number: int, noun: str) -> str:
    """Write a number with its noun: "1 file", "2 files"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(count: int | None) -> str | None:
    """Write a number of bytes for people: 1536 → "1.5 kB" (powers of 1000, as the Hub shows them)."""
    if count is None:
        return None
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
