"""models.toml edited by lines: an entry comes or goes, and everything else, comments and order, stays as it is.

tomlkit writes the entry; where it goes is told by lines, because tomlkit takes the comment above an entry for the end
of the one before it, and would remove it with that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from tritonops.errors import CatalogError, InputError
from tritonops.files import replace_text
from tritonops.models.catalog import ModelVersion, load_catalog, parse_catalog, read_catalog_text
from tritonops.models.toml_lines import entry_line, entry_spans


def preview_entry(path: Path, key: str, values: Mapping[str, str | int]) -> ModelVersion:
    """Read the entry as models.toml would have it; nothing is written. Raises CatalogError where it is wrong."""
    return _added(path, key, values)[1]


@contextmanager
def adding_entry(path: Path, key: str, values: Mapping[str, str | int]) -> Iterator[ModelVersion]:
    """Write an entry below the last one of its model, or at the end; give it as models.toml now reads.

    Where the block fails, models.toml becomes what it was, unless somebody has edited it since. Raises CatalogError
    where the entry is wrong.
    """
    before = read_catalog_text(path)
    text, entry = _added(path, key, values)
    replace_text(path, text)
    try:
        yield entry
    except BaseException:
        if read_catalog_text(path) == text:
            replace_text(path, before)
        raise


def _added(path: Path, key: str, values: Mapping[str, str | int]) -> tuple[str, ModelVersion]:
    before = load_catalog(path)
    text = _with_block(read_catalog_text(path), key, _block(key, values))
    known = {entry.label for entry in before.versions}
    try:
        after = parse_catalog(path, text)
    except CatalogError as exc:
        raise CatalogError(f"the new entry was not written to {exc}", hint=exc.hint or _OPTIONS) from exc
    return text, next(entry for entry in after.versions if entry.label not in known)


_OPTIONS = "See `inv --help models.add`: --file gives model_path, the other options the keys of their names."


def _with_block(text: str, key: str, block: str) -> str:
    lines = _lines(text)
    ends = [end for (name, _), (_, end) in entry_spans(text).items() if name == key]
    at = ends[-1] if ends else len(lines)
    head, tail = "".join(lines[:at]), "".join(lines[at:])
    gap = "" if not head.strip() else "\n" if head.endswith("\n") else "\n\n"
    return head + gap + block + tail


def remove_entries(path: Path, name: str, version: int | None = None) -> tuple[ModelVersion, ...]:
    """Take the entries of a model, or of one version, out of models.toml. Returns them.

    The comment that stands directly above an entry goes with it. Raises UnknownModelError, and InputError for a
    version that is not there, or that stands in an array on one line.
    """
    catalog = load_catalog(path)
    entries = catalog.select([name])
    gone = tuple(entry for entry in entries if version in (None, entry.version))
    if not gone:
        known = ", ".join(str(entry.version) for entry in entries)
        raise InputError(f"{path} has no version {version} of {name}", hint=f"It has: {known}.")
    text = read_catalog_text(path)
    lines, spans = _lines(text), entry_spans(text)
    for entry in gone:
        if entry.place not in spans:
            line = entry_line(text, entry.place)
            raise InputError(f"{path}, line {line}: {entry.label} stands in an array", hint="Take it out by hand.")
    for start, end in sorted((spans[entry.place] for entry in gone), reverse=True):
        del lines[_with_comment(lines, start) : _with_blank(lines, end)]
    parse_catalog(path, "".join(lines))
    replace_text(path, "".join(lines))
    return gone


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
