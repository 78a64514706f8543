"""A table of kubernetes.toml, read key by key: each error names the file, the line, the table and the key."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from tritonops.documents import abbreviate
from tritonops.errors import InputError, near_misses
from tritonops.models.catalog.lines import statement_line

Rule = Callable[[str], str]


@dataclass(frozen=True)
class Table:
    """The values of one table, and where it is in the file."""

    path: Path
    document: str
    at: tuple[str, ...]
    """The keys that lead to it: ("targets", "production", "secrets")."""
    values: Mapping[str, Any]

    def error(self, problem: str, *keys: str, hint: str | None = None) -> InputError:
        """Make the error about a key of this table, or about the table."""
        name = ".".join(_written(key) for key in (*self.at[1:], *keys))
        return InputError(f"{self.path}, line {self._line(keys)}: {name}: {problem}", hint=hint)

    def refuse_unknown_keys(self, known: Collection[str]) -> None:
        """Raise InputError for a key that is not one of these."""
        for key in self.values:
            if key not in known:
                raise self.error("unknown key", key, hint=near_misses(key, known, "keys"))

    def required(self, key: str, rule: Rule) -> str:
        """Read a string that has to be there."""
        if key not in self.values:
            raise self.error(f"{key} is missing")
        return self.text(key, rule, "")

    @overload
    def text(self, key: str, rule: Rule, default: str) -> str: ...

    @overload
    def text(self, key: str, rule: Rule, default: None = None) -> str | None: ...

    def text(self, key: str, rule: Rule, default: str | None = None) -> str | None:
        """Read a string."""
        return self._checked(self.values[key], rule, key) if key in self.values else default

    def texts(self, key: str, rule: Rule) -> tuple[str, ...]:
        """Read a list of strings; none where there is no list."""
        found = self.values.get(key, [])
        if not isinstance(found, list):
            raise self.error(f"expected a list of strings, got {abbreviate(found)}", key)
        return tuple(self._checked(each, rule, key) for each in found)

    def texts_by_key(self, key: str, key_rule: Rule, value_rule: Rule) -> dict[str, str]:
        """Read a table of strings, such as labels."""
        table = self.table(key)
        return {table._checked_key(name, key_rule): table._checked(value, value_rule, name) for name, value in table}

    @overload
    def number(self, key: str, default: int, *, at_least: int, at_most: int) -> int: ...

    @overload
    def number(self, key: str, default: None = None, *, at_least: int, at_most: int) -> int | None: ...

    def number(self, key: str, default: int | None = None, *, at_least: int, at_most: int) -> int | None:
        """Read a whole number."""
        found = self.values.get(key, default)
        if found is None:
            return None
        if not isinstance(found, int) or isinstance(found, bool) or not at_least <= found <= at_most:
            raise self.error(f"expected a whole number from {at_least} to {at_most:,}, got {abbreviate(found)}", key)
        return found

    def boolean(self, key: str) -> bool:
        """Read true or false, which is the default."""
        found = self.values.get(key, False)
        if not isinstance(found, bool):
            raise self.error(f"expected true or false, got {abbreviate(found)}", key)
        return found

    def choice(self, key: str, choices: Collection[str]) -> str | None:
        """Read one of several words."""
        found = self.values.get(key)
        if found is not None and (not isinstance(found, str) or found not in choices):
            hint = near_misses(found, choices, "values") if isinstance(found, str) else None
            raise self.error(f"expected one of {', '.join(choices)}, got {abbreviate(found)}", key, hint=hint)
        return found

    def table(self, key: str) -> Table:
        """Read a table; an empty one where there is none."""
        found = self.values.get(key, {})
        if not isinstance(found, dict):
            raise self.error(f"expected a table, got {abbreviate(found)}", key)
        return Table(self.path, self.document, (*self.at, key), found)

    def tables(self, key: str) -> list[Table]:
        """Read a list of tables."""
        found = self.values.get(key, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self.error(f"expected a list of tables, got {abbreviate(found)}", key)
        return [Table(self.path, self.document, (*self.at, key), each) for each in found]

    def __iter__(self) -> Any:
        """Give each key with its value."""
        return iter(self.values.items())

    def _checked(self, value: object, rule: Rule, key: str) -> str:
        if not isinstance(value, str):
            raise self.error(f"expected a string, got {abbreviate(value)}", key)
        try:
            return rule(value)
        except ValueError as exc:
            raise self.error(f"{abbreviate(value)} {exc}", key) from exc

    def _checked_key(self, name: str, rule: Rule) -> str:
        try:
            return rule(name)
        except ValueError as exc:
            raise self.error(str(exc), name) from exc

    def _line(self, keys: tuple[str, ...]) -> int:
        """Find the line of a key; of the table above it where it is in an inline table, which has one line."""
        path = (*self.at, *keys)
        lines = (statement_line(self.document, path[:length]) for length in range(len(path), 0, -1))
        return next((line for line in lines if line > 1), 1)


def _written(key: str) -> str:
    return key if re.fullmatch(r"[\w@-]{1,80}", key, re.ASCII) else abbreviate(key)
