"""Where the entries of models.toml begin: tomllib reads values and forgets their lines."""

from __future__ import annotations

import functools
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping

_TOKEN = re.compile(
    r"""
      (?P<comment>\#[^\r\n]*)
    | (?P<string>\"{3}(?:[^"\\]++|\\.|\"{1,2}+(?!\"))*+\"{3,5} | '{3}.*?'{3,5} | "(?:[^"\\\n]++|\\.)*+" | '[^'\n]*')
    | (?P<newline>\r?\n)
    | (?P<mark>[\[\]{},=])
    | (?P<space>[ \t]+)
    | (?P<bare>[^\s\[\]{},=\#"']+)
    """,
    re.VERBOSE | re.DOTALL,
)

Entry = tuple[str, int]
"""An entry's key below `models`, and its index among those of that key."""


def entry_line(text: str, entry: Entry) -> int:
    """Find the line of an entry, counted from 1; in `models = {…}` every entry has the line of the statement.

    `text` is TOML that tomllib has read. It is read once more here: ask only where somebody gets to see the line.
    """
    return _entry_lines(text).get(entry) or statement_line(text, ("models",))


def _entry_lines(text: str) -> dict[Entry, int]:
    """Map each entry of `[[models.NAME]]` to its line.

    Inline arrays count too, but not what stands in `models = {…}`.
    """
    lines: dict[Entry, int] = {}
    counts = Counter[str]()
    for path, statement in _located(text):
        if len(path) == 2 and path[0] == "models":
            for line in statement.entry_lines:
                lines[path[1], counts[path[1]]] = line
                counts[path[1]] += 1
    return lines


def entry_spans(text: str) -> dict[Entry, tuple[int, int]]:
    """Map each entry that has a `[[models.NAME]]` of its own to its lines, as a slice of them, counted from 0.

    Comments and blank lines behind its last statement are not part of it.
    """
    spans: dict[Entry, tuple[int, int]] = {}
    current: Entry | None = None
    for path, statement in _located(text):
        if statement.header:
            is_entry = bool(statement.entry_lines) and len(path) == 2 and path[0] == "models"
            current = (path[1], sum(1 for key, _ in spans if key == path[1])) if is_entry else None
        if current:
            spans[current] = (spans.get(current, (statement.line - 1, 0))[0], statement.last_line)
    return spans


def statement_line(text: str, path: tuple[str, ...]) -> int:
    """Find the line of the first statement at or below `path`; 1 where there is none."""
    return next((statement.line for full, statement in _located(text) if full[: len(path)] == path), 1)


def _located(text: str) -> Iterator[tuple[tuple[str, ...], _Statement]]:
    """Give each statement with its full path: a key stands below the header before it."""
    table: tuple[str, ...] = ()
    for statement in _statements(text):
        if statement.header:
            table = statement.key
        yield (table if statement.header else table + statement.key), statement


class _Statement:
    """One header or one `key = value`, as the tokens that make it up."""

    def __init__(self, tokens: list[tuple[str, str, int]]) -> None:
        self._tokens = tokens
        self.line = tokens[0][2]
        self.header = tokens[0][1] == "["
        self._doubled = self.header and tokens[1][1] == "["

    @property
    def last_line(self) -> int:
        """Where it ends, counted from 1."""
        _, text, line = self._tokens[-1]
        return line + text.count("\n")

    @property
    def key(self) -> tuple[str, ...]:
        parts = [text for kind, text, _ in self._tokens if kind in ("bare", "string", "space")]
        if not self.header:
            end = next(i for i, (_, text, _) in enumerate(self._tokens) if text == "=")
            parts = [text for _, text, _ in self._tokens[:end]]
        return _parsed_key("".join(parts))

    @property
    def entry_lines(self) -> list[int]:
        """The lines of the entries that this statement adds: one for a `[[header]]`, each element of an array."""
        if self.header:
            return [self.line] if self._doubled else []
        start = next(i for i, (_, text, _) in enumerate(self._tokens) if text == "=") + 1
        value = [token for token in self._tokens[start:] if token[0] not in ("space", "newline")]
        return list(_element_lines(value)) if value[0][1] == "[" else []


@functools.lru_cache  # every entry has the same few keys
def _parsed_key(text: str) -> tuple[str, ...]:
    return tuple(_path_of(tomllib.loads(f"{text} = 0")))


def _element_lines(value: list[tuple[str, str, int]]) -> Iterator[int]:
    depth, fresh = 0, True
    for kind, text, line in value:
        if depth == 1 and fresh and text not in ("]", ","):
            yield line
            fresh = False
        if kind == "mark":
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(text, 0)
            fresh = fresh or (depth == 1 and text == ",")


def _statements(text: str) -> Iterator[_Statement]:
    """Cut `text` at the newlines that stand outside of strings and brackets."""
    tokens: list[tuple[str, str, int]] = []
    depth = 0
    for kind, token, line in _tokens(text):
        if kind == "newline" and depth == 0:
            if tokens:
                yield _Statement(tokens)
            tokens = []
        elif tokens or kind != "space":
            tokens.append((kind, token, line))
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token, 0) if kind == "mark" else 0
    if tokens:
        yield _Statement(tokens)


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    line = 1
    for match in _TOKEN.finditer(text, text.startswith("\ufeff")):  # a byte order mark is no token
        kind = match.lastgroup or ""
        if kind != "comment":
            yield kind, match.group(), line
        line += match.group().count("\n")


def _path_of(nested: Mapping[str, object]) -> Iterator[str]:
    for key, value in nested.items():
        yield key
        if isinstance(value, Mapping):
            yield from _path_of(value)
