"""`.env` as Docker Compose reads it: the one reader of such files in this project.

The rules are those of Compose 2.26; tests/dotenv_cases.py has them as data, and the real Compose confirms each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tritonops import files
from tritonops.errors import EnvFileError, UnreadableFileError

MAX_BYTES = 1 << 20
"""No file larger than this is read, and its values may not grow larger either by naming each other."""
_MAX_DEPTH = 50
_HINT = "Compose refuses this line too. A literal dollar is $$, or stands in single quotes."

Lookup = Callable[[str], str | None]
"""A variable of the environment or of an earlier file; None where it is not set."""

_BLANK = "\t\v\f\r \x85\xa0"
_SPACE = f"{_BLANK}\n\u1680{''.join(map(chr, range(0x2000, 0x200B)))}\u2028\u2029\u202f\u205f\u3000"
_SPACES = re.compile(f"[{_SPACE}]*")
_EXPORT = re.compile(rf"(?:export(?=[\t\n\f\r ]))?[{_BLANK}]*")
_KEY = re.compile(rf"([\w.\-\[\]{_BLANK}]*)(.?)[{_BLANK}]*", re.DOTALL)
_QUOTED = {quote: re.compile(rf"{quote}((?:[^{quote}\\]|\\.)*+){quote}", re.DOTALL) for quote in "'\""}
_BACKSLASH = re.compile(r"\\(.)", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:[abcfnrtv$\"\\]|0\d{0,3})", re.ASCII)
_ESCAPES = dict(zip('abfnrtv"\\$', ["\a", "\b", "\f", "\n", "\r", "\t", "\v", '"', "\\", "$$"], strict=True))
_NAME = "[_a-z][_a-z0-9]*"
# An escaped dollar, a name, or a brace with a name and an operator; the operator is empty before the closing brace.
_DOLLAR = re.compile(rf"\$(?:(\$)|({_NAME})|\{{(?:({_NAME})(:?[-+?]|(?=\}})))?)", re.IGNORECASE)
_BRACE = re.compile(r"[{}\n]")
_NOT_UTF_8 = re.compile("[\udc80-\udcff]")
"""Bytes that are not UTF-8. In comments they do not matter."""


class Variable(NamedTuple):
    """A value, the line on which its name stands, and the unset variables that it names: they are empty in it."""

    value: str
    line: int
    unset: tuple[str, ...] = ()


def read_bytes(path: Path) -> bytes:
    """Read a file, or a pipe, as password managers make them. Raises EnvFileError."""
    try:
        return files.read_bytes(path, MAX_BYTES, pipe_timeout=files.PIPE_TIMEOUT)
    except UnreadableFileError as exc:
        raise EnvFileError(f"cannot read the env file {exc}") from exc


def parse(data: bytes, lookup: Lookup, *, where: str, inherit: bool = True) -> dict[str, Variable]:
    """Read the bytes of a file; a KEY without a value takes it from `lookup`, and is refused without `inherit`.

    Raises EnvFileError with `where`, the line and the name, and never with a value.
    """
    return _Parser(_decode(data, where), lookup, where, inherit=inherit).parse()


def format_line(name: str, value: str) -> str:
    """Write an assignment that `parse`, Compose and a POSIX shell read as this value.

    Raises ValueError where no line means the same to all of them.
    """
    if "'" not in value and not value.endswith("\\"):
        return f"{name}='{value}'"
    if "`" in value:
        quote = "a single quote" if "'" in value else "a backslash at its end"
        raise ValueError(f"{quote} and a backtick: no line means the same to Compose and to a shell")
    escaped = re.sub(r'([\\"$])', r"\\\1", value)
    return f'{name}="{escaped}"'


def set_values(data: bytes, values: Mapping[str, str], *, where: str) -> bytes:
    """Write values into the bytes of a file, each where its name stood last; an empty value takes the name out.

    Raises EnvFileError where the file cannot be read, and ValueError as `format_line` does.
    """
    text = _decode(data, where)
    spans: list[tuple[str, int, int]] = []
    _Parser(text, lambda _: None, where, inherit=False).parse(lambda *span: spans.append(span))
    last = {name: start for name, start, _ in spans}
    parts: list[str] = []
    position = 0
    for name, start, end in spans:
        if name not in values:
            continue
        parts.append(text[position:start])
        if values[name] and last[name] == start:
            parts.append(format_line(name, values[name]))
        elif text.startswith("\n", end) and text[:start].rpartition("\n")[2] == "":
            end += 1  # the line goes as a whole
        position = end
    rest = "".join([*parts, text[position:]])
    new = [f"{format_line(name, value)}\n" for name, value in values.items() if value and name not in last]
    separator = "\n" if new and rest and not rest.endswith("\n") else ""
    return "".join([rest, separator, *new]).encode()


def _decode(data: bytes, where: str) -> str:
    if len(data) > MAX_BYTES:
        raise EnvFileError(f"{where} is larger than {MAX_BYTES >> 20} MiB", hint="Is it the right file?")
    text = data.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")
    if (nul := text.find("\0")) >= 0:
        raise EnvFileError(f"{where}:{text.count(chr(10), 0, nul) + 1}: a NUL character")
    return text


class _Parser:
    """One pass over a text, statement by statement."""

    def __init__(self, text: str, lookup: Lookup, where: str, *, inherit: bool) -> None:
        self._text, self._lookup, self._where, self._inherit = text, lookup, where, inherit
        self._found: dict[str, Variable] = {}
        self._position = self._counted = 0
        self._line = 1
        self._name = ""
        self._unset: list[str] = []
        self._expanded = 0

    def parse(self, found: Callable[[str, int, int], None] | None = None) -> dict[str, Variable]:
        """Read all of it; `found` is told each name, and where its assignment starts and ends."""
        while self._next_statement():
            start = self._position
            self._statement()
            if found:
                found(self._name, start, self._position)
        return self._found

    def _next_statement(self) -> bool:
        self._skip(_SPACES)
        while self._text.startswith("#", self._position):
            end = self._text.find("\n", self._position)
            self._position = end if end >= 0 else len(self._text)
            self._skip(_SPACES)
        self._line += self._text.count("\n", self._counted, self._position)
        self._counted = self._position
        return self._position < len(self._text)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if found := pattern.match(self._text, self._position):
            self._position = found.end()

    def _statement(self) -> None:
        self._skip(_EXPORT)
        self._unset = []
        value = self._lookup(self._name) if self._key() == "\n" else self._value()
        if value and _NOT_UTF_8.search(value):
            raise self._error("not UTF-8 text")
        if value and "\0" in value:
            raise self._error("a NUL character, which no environment can have")
        if value is not None:
            self._found[self._name] = Variable(value, self._line, tuple(self._unset))

    def _key(self) -> str:
        """Read a name and the character that ends it; a line end means that the value is inherited."""
        found = _KEY.match(self._text, self._position)
        assert found
        name, end = found.groups()
        if _NOT_UTF_8.match(end):
            self._name = ""
            raise self._error("not UTF-8 text")
        if end not in ("=", ":", "\n"):
            before, equals, _ = self._text[self._position :].partition("\n")[0].partition("=")
            # Anything else may be a secret that was pasted.
            self._name = before.strip() if equals and before.isupper() else ""
            raise self._error(f"{end!r} in a name" if end else "expected KEY=VALUE, or a line end after KEY")
        self._name = name.rstrip()
        self._position = found.end()
        if " " in self._name:
            raise self._error("a space in a name")
        if not self._name and end != "\n":
            raise self._error(f"no name before {end!r}")
        if self._name and end == "\n" and not self._inherit:
            self._name = ""
            raise self._error("expected KEY=VALUE")
        return end

    def _value(self) -> str:
        quote = self._text[self._position : self._position + 1]
        if quote in _QUOTED:
            return self._quoted(quote)
        end = self._text.find("\n", self._position)
        line = self._text[self._position : end if end >= 0 else len(self._text)]
        self._position += len(line)
        return self._expand(line.partition(" #")[0].rstrip(_SPACE))

    def _quoted(self, quote: str) -> str:
        found = _QUOTED[quote].match(self._text, self._position)
        if found is None:
            raise self._error(f"the quote {quote} is not closed")
        self._position = found.end()
        value = _BACKSLASH.sub(lambda pair: quote if pair[1] == quote else pair[0], found[1])
        return value if quote == "'" else self._expand(_ESCAPE.sub(_unescaped, value))

    def _expand(self, text: str, depth: int = 0) -> str:
        """Put in the values of variables."""
        if "$" not in text:
            return text
        if depth > _MAX_DEPTH:
            raise self._error(f"${{…}} more than {_MAX_DEPTH} deep in each other")
        parts: list[str] = []
        position = 0
        while found := _DOLLAR.search(text, position):
            value, end = self._substitution(text, found, depth)
            parts += text[position : found.start()], value
            position = end
            self._expanded += len(value)
            if self._expanded > MAX_BYTES:
                raise self._error(f"its variables add more than {MAX_BYTES >> 20} MiB to the file")
        return "".join([*parts, text[position:]])

    def _substitution(self, text: str, found: re.Match[str], depth: int) -> tuple[str, int]:
        """Give what stands for a dollar, and where the text goes on behind it."""
        escaped, plain, braced, operator = found.groups()
        if escaped:
            return "$", found.end()
        if plain:
            return self._plain(plain), found.end()
        if operator == "":
            return self._plain(braced), found.end() + 1
        end = _closing_brace(text, found.end()) if operator else None
        if end is None:
            raise self._error("${ needs a name, at most one of - + ? :- :+ :? behind it, and } on the same line")
        return self._operated(braced, operator, text[found.end() : end], depth), end + 1

    def _plain(self, name: str) -> str:
        value = self._get(name)
        if value is None:
            self._unset.append(name)
        return value or ""

    def _operated(self, name: str, operator: str, operand: str, depth: int) -> str:
        """Apply ${NAME:-operand} and its kin; Compose expands the operand whether it is used or not."""
        expanded = self._expand(operand, depth + 1)
        value = self._get(name)
        has_value = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("+"):
            return expanded if has_value else ""
        if has_value:
            return value or ""
        if operator.endswith("?"):
            raise self._error(f"the required variable {name} is missing a value: {_printable(operand)}")
        return expanded

    def _get(self, name: str) -> str | None:
        value = self._lookup(name)
        if value is None and name in self._found:
            return self._found[name].value
        return value

    def _error(self, problem: str) -> EnvFileError:
        name = f"{_printable(self._name)}: " if self._name else ""
        return EnvFileError(f"{self._where}:{self._line}: {name}{problem}", hint=_HINT)


def _closing_brace(text: str, start: int) -> int | None:
    """Find the brace that closes a ${ before `start`: where braces do not match, the last one on the line."""
    opened, last = 1, None
    for found in _BRACE.finditer(text, start):
        if found[0] == "\n":
            break
        opened += 1 if found[0] == "{" else -1
        if found[0] == "}":
            last = found.start()
        if not opened:
            break
    return last


def _unescaped(escape: re.Match[str]) -> str:
    r"""Octal is \0 and three digits up to 377; Compose takes the zero off any other."""
    kind, digits = escape[0][1], escape[0][2:]
    if kind != "0":
        return _ESCAPES.get(kind, escape[0])
    return chr(int(digits, 8)) if re.fullmatch("[0-3][0-7][0-7]", digits) else f"\\{digits}"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:100])
