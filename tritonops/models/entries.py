"""models.toml edited by lines: an entry comes or goes, and everything else, comments and order, stays as it is.

tomlkit writes the entry; where it goes is told by lines, because tomlkit takes the comment above an entry for the end
of the one before it, and would remove it with that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tritonops.errors import CatalogError, InputError
from tritonops.models.catalog import Catalog, ModelVersion, load_catalog
from tritonops.models.toml_lines import entry_spans


def preview_entry(path: Path, key: str, values: Mapping[str, str | int]) -> ModelVersion:
    """Read the entry as models.toml would have it; nothing is written. Raises CatalogError where it is wrong."""
    with _checked(path, _with_entry(path, key, values)) as (_, catalog):
        return _new(catalog, load_catalog(path))


@contextmanager
def adding_entry(path: Path, key: str, values: Mapping[str, str | int]) -> Iterator[ModelVersion]:
    """Write an entry below the last one of its model, or at the end; give it as models.toml now reads.

    Where the block fails, models.toml becomes what it was, unless somebody has edited it since. Raises CatalogError
    where the entry is wrong.
    """
    before, old = path.read_text(encoding="utf-8"), load_catalog(path)
    text = _with_entry(path, key, values)
    entry = _new(_replace(path, text), old)
    try:
        yield entry
    except BaseException:
        if path.read_text(encoding="utf-8") == text:
            _replace(path, before)
        raise


def _with_entry(path: Path, key: str, values: Mapping[str, str | int]) -> str:
    load_catalog(path)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    ends = [span[1] for (name, _), span in entry_spans("".join(lines)).items() if name == key]
    at = ends[-1] if ends else len(lines)
    head, tail = "".join(lines[:at]), "".join(lines[at:])
    gap = "" if not head.strip() else "\n" if head.endswith("\n") else "\n\n"
    return head + gap + _block(key, values) + tail


def _new(catalog: Catalog, before: Catalog) -> ModelVersion:
    labels = {entry.label for entry in before.versions}
    return next(entry for entry in catalog.versions if entry.label not in labels)


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
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    spans = {span[0]: span for span in entry_spans("".join(lines)).values()}
    for entry in sorted(gone, key=lambda entry: -entry.line):
        if entry.line - 1 not in spans:
            raise InputError(
                f"{path}, line {entry.line}: {entry.label} stands in an array", hint="Take it out by hand."
            )
        start, end = spans[entry.line - 1]
        del lines[_with_comment(lines, start) : _with_blank(lines, end)]
    _replace(path, "".join(lines))
    return gone


def _with_comment(lines: list[str], start: int) -> int:
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return start


def _with_blank(lines: list[str], end: int) -> int:
    return end + 1 if end < len(lines) and not lines[end].strip() else end


def _block(key: str, values: Mapping[str, str | int]) -> str:
    import tomlkit

    return tomlkit.dumps({"models": {key: [dict(values)]}}).strip() + "\n"


@contextmanager
def _checked(path: Path, text: str) -> Iterator[tuple[Path, Catalog]]:
    """Write the text beside models.toml and read it as a catalogue; what is wrong with it is said of `path`."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        yield partial, load_catalog(partial)
    except CatalogError as exc:
        raise CatalogError(str(exc).replace(str(partial), str(path)), hint=exc.hint) from exc
    finally:
        partial.unlink(missing_ok=True)


def _replace(path: Path, text: str) -> Catalog:
    with _checked(path, text) as (partial, catalog):
        partial.replace(path)
        return catalog
