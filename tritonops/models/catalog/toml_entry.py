"""One entry of models.toml as it is written, with the errors about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tritonops.documents import abbreviate
from tritonops.errors import CatalogError
from tritonops.models.catalog.lines import entry_line

_T = TypeVar("_T", str, int)


@dataclass(frozen=True)
class Entry:
    """One table of models.toml, as it was written, and where."""

    path: Path
    document: str
    key: str
    index: int
    values: Mapping[str, object]

    @property
    def line(self) -> int:
        """Where it begins in models.toml."""
        return entry_line(self.document, (self.key, self.index))

    @property
    def where(self) -> str:
        """Name it as TOML would."""
        return f"models.{written_key(self.key)}[{self.index}]"

    def error(self, key: str, problem: str, *, hint: str | None = None) -> CatalogError:
        """Make the error about one of its keys."""
        return CatalogError(f"{self.path}, line {self.line}: {self.where}: {written_key(key)}: {problem}", hint=hint)

    def text(self, key: str, rule: Callable[[str], str], default: str | None = None) -> str:
        """Read a string, and check it. Raises CatalogError."""
        return self._checked(key, str, "a string", rule, default)

    def number(self, key: str, rule: Callable[[int], int]) -> int:
        """Read an integer, and check it. Raises CatalogError."""
        return self._checked(key, int, "an integer", rule, None)

    def _checked(self, key: str, kind: type[_T], expected: str, rule: Callable[[_T], _T], default: _T | None) -> _T:
        value = self.values.get(key, default)
        if value is None:
            raise self.error(key, "is missing")
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(key, f"expected {expected}, got {abbreviate(value)}")
        try:
            return rule(value)
        except ValueError as exc:
            raise self.error(key, f"{abbreviate(value)} {exc}") from exc


def written_key(key: str) -> str:
    """Write a key as TOML would, so that no character of it plays tricks on the reader's terminal."""
    return key if re.fullmatch(r"[\w-]{1,80}", key, re.ASCII) else abbreviate(key)
