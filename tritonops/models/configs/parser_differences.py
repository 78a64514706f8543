"""Where Triton reads the text of a config otherwise than Python's protobuf does.

Triton parses it with protobuf's C++ parser (io/tokenizer.cc, text_format.cc). Python's takes more white space, numbers
with underscores or a plus, and escapes of its own; C++ takes a minus apart from its number. Each difference was tried
on Triton 2.51.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

_SUSPECT = re.compile(r"[^\x20-\x7e\n\r\t]|\\|\+|[0-9]_|\b0[bBoO]|-\s|-#")
"""Nothing that is read in two ways is without one of these."""
_TOKEN = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*') | (?P<comment>\#[^\n]*) | (?P<space>[ \t\n\r\v\f]+) |
    (?P<number>(?:0[xX][0-9a-fA-F]+ | [0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?[fF]? | [0-9]+\.?)\w*) |
    (?P<word>[A-Za-z_]\w*) | (?P<other>.)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_PYTHONS_NUMBER = re.compile(r"\w*_|0[bBoO]|[0-9.]+([eE][+-]?[0-9]+)?_", re.ASCII)
_ESCAPE = re.compile(r"\\(?:[abfnrtv\\?'\"0-7]|x[0-9a-fA-F]|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|(?P<bad>.))", re.DOTALL)
_SURROGATES = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)


class Difference(NamedTuple):
    """What Triton refuses and Python takes."""

    position: int
    problem: str


def differences(text: str) -> Iterator[Difference]:
    """Find what Triton's parser refuses, though Python's does not."""
    if _SUSPECT.search(text) is None:
        return
    for match in _TOKEN.finditer(text):
        kind, piece = match.lastgroup, match.group()
        if kind in ("string", "comment"):
            nul = piece.find("\0")
            if nul >= 0:
                yield Difference(match.start() + nul, "Triton reads no further than a NUL character")
            elif kind == "string":
                yield from _escapes(match.start(), piece)
        elif kind == "number" and _PYTHONS_NUMBER.match(piece):
            plain = f": write {piece.replace('_', '')}" if "_" in piece else ""
            yield Difference(match.start(), f"Triton does not read {piece} as a number{plain}")
        elif kind == "other" and piece == "+":
            yield Difference(match.start(), "Triton reads no plus sign: leave it out")
        elif kind == "other" and (piece > "\x7e" or piece < " "):
            yield Difference(match.start(), f"Triton takes {_named(piece)} neither for white space nor for a name")


def as_python_reads(text: str) -> str:
    """Rewrite what Triton's parser takes and Python's does not: a minus apart from its number, pairs of surrogates."""
    if _SUSPECT.search(text) is None:
        return text
    pieces: list[str] = []
    minus: int | None = None
    for match in _TOKEN.finditer(text):
        kind, piece = match.lastgroup, match.group()
        if minus is not None and kind not in ("space", "comment"):
            piece = _joined(pieces, minus, match)
        if kind == "string":
            piece = _SURROGATES.sub(_paired, piece)
        if kind not in ("space", "comment"):
            minus = len(pieces) if kind == "other" and piece == "-" else None
        pieces.append(piece)
    return "".join(pieces)


def _joined(pieces: list[str], minus: int, match: re.Match[str]) -> str:
    """Move the minus to its number, in place of a space in front of it: no column behind it changes."""
    is_number = match.lastgroup == "number" or match.group() in ("inf", "infinity", "nan")
    is_apart = minus < len(pieces) - 1
    if not is_number or not is_apart:
        return match.group()
    pieces[minus] = " "
    if pieces[-1].endswith((" ", "\t")):
        pieces[-1] = pieces[-1][:-1]
    return f"-{match.group()}"


def _escapes(start: int, string: str) -> Iterator[Difference]:
    for match in _ESCAPE.finditer(string):
        if match["bad"] is not None:
            yield Difference(start + match.start(), f"Triton knows no escape {match.group()[:2]!r} in a string")


def _named(character: str) -> str:
    name = unicodedata.name(character, "a control character")
    return f"U+{ord(character):04X} ({name})"


def _paired(match: re.Match[str]) -> str:
    return (chr(int(match[1], 16)) + chr(int(match[2], 16))).encode("utf-16", "surrogatepass").decode("utf-16")
