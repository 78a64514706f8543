"""Text that came from elsewhere, made safe to show: one terminal can be tricked, and flooded, by what it prints."""

from __future__ import annotations

MAX_LINE = 500
MAX_LINES = 60
"""The longest log that an error ends with has fewer."""


def printable(text: str) -> str:
    """Strip escape sequences and everything invisible; keep line feeds, and make one space of any other white space."""
    if text.isascii() and text.isprintable():
        return text
    return "\n".join(_printable_line(line) for line in text.replace("\r\n", "\n").split("\n"))


def one_line(text: str) -> str:
    """Make one printable line of text that a server or a file worded."""
    return " ".join(printable(text).split())


def clip(text: str, limit: int = MAX_LINE) -> str:
    """Cut a line, visibly, to at most `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def shorten(reason: str, rest: str) -> str:
    """Make one line of a reason that a server worded; where it is longer than a line may be, say where the rest is."""
    line = one_line(reason)
    return line if len(line) <= MAX_LINE else f"{clip(line)}\n(the rest: {rest})"


def clip_lines(text: str) -> str:
    """Cut each line, and leave out the middle where there are too many: a message has its point first, a log last."""
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES // 2], "…", *lines[-MAX_LINES // 2 + 1 :]]
    return "\n".join(clip(line) for line in lines)


def _printable_line(line: str) -> str:
    if line.isascii() and line.isprintable():
        return line
    import re

    # Escape sequences as a whole: CSI, the strings of OSC, DCS, SOS, PM and APC, and those of two characters.
    without = re.sub(
        r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
        r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"
        r"|\x1b[ -/]*[0-~]",
        "",
        line,
    )
    return "".join(
        " " if c.isspace() else c for c in without if (c.isprintable() or c.isspace()) and c not in _INVISIBLE
    )


# Letters and marks by their category, and drawn as nothing: fillers, joiners, variation selectors, blank Braille.
_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)
