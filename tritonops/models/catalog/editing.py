"""models.toml edited by lines: an entry comes or goes, and everything else, comments and order, stays as it is.

tomlkit writes the entry; where it goes is told by lines, because tomlkit takes the comment above an entry for the end
of the one before it, and would remove it with that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

from tritonops.errors import CatalogError, InputError
from tritonops.models.catalog.catalog import ModelVersion
from tritonops.models.catalog.lines import entry_line, entry_spans
from tritonops.models.catalog.parsing import parse_catalog


def with_entry(path: Path, text: str, key: str, values: Mapping[str, str | int]) -> tuple[str, ModelVersion]:
    """Add an entry to the text of models.toml, below the last one of its model, or at the end.

    Returns the text and the entry as it now reads. Raises CatalogError where the entry is wrong.
    """
    known = {entry.label for entry in parse_catalog(path, text).versions}
    after = _with_block(text, key, _block(key, values))
    try:
        catalog = parse_catalog(path, after)
    except CatalogError as exc:
        raise CatalogError(f"the new entry was not written to {exc}", hint=exc.hint or _OPTIONS) from exc
    return after, next(entry for entry in catalog.versions if entry.label not in known)


_OPTIONS = "See `inv --help models.add`: --file gives model_path, the other options the keys of their names."


def _with_block(text: str, key: str, block: str) -> str:
    lines = _lines(text)
    ends = [end for (name, _), (_, end) in entry_spans(text).items() if name == key]
    at = ends[-1] if ends else len(lines)
    head, tail = "".join(lines[:at]), "".join(lines[at:])
    gap = "" if not head.strip() else "\n" if head.endswith("\n") else "\n\n"
    return head + gap + block + tail


def without_entries(path: Path, text: str, gone: Sequence[ModelVersion]) -> str:
    """Take entries out of the text of models.toml; a comment directly above one goes with it.

    Raises InputError for one that stands in an array on one line.
    """
    lines, spans = _lines(text), entry_spans(text)
    for entry in gone:
        if entry.place not in spans:
            line = entry_line(text, entry.place)
            raise InputError(f"{path}, line {line}: {entry.label} stands in an array", hint="Take it out by hand.")
    for start, end in sorted((spans[entry.place] for entry in gone), reverse=True):
        del lines[_with_comment(lines, start) : _with_blank(lines, end)]
    after = "".join(lines)
    parse_catalog(path, after)
    return after


def _lines(text: str) -> list[str]:
    """Cut at newlines alone: str.splitlines also cuts at characters that are none to TOML."""
    return StringIO(text, newline="\n").readlines()


def _with_comment(lines: list[str], start: int) -> int:
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return start


def _with_blank(lines: list[str], end: int) -> int:
    return end + 1 if end < len(lines) and not lines[end].strip() else end


def _block(key: str, values: Mapping[str, str | int]) -> str:
    import tomlkit

    return tomlkit.dumps({"models": {key: [dict(values)]}}).strip() + "\n"


def without_labels(path: Path, text: str, labels: set[str]) -> str:
    """Remove the entries with these labels, such as "clip/1", from the text of models.toml."""
    entries = [entry for entry in parse_catalog(path, text).versions if entry.label in labels]
    return without_entries(path, text, entries)
