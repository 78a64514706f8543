"""Two entries of models.toml for one version, or for one folder."""

from __future__ import annotations

from collections.abc import Sequence

from tritonops.models.catalog.catalog import ModelVersion
from tritonops.models.catalog.toml_entry import Entry


def refuse_doubles(entries: Sequence[Entry], versions: Sequence[ModelVersion]) -> None:
    """Raise CatalogError for two entries of one version."""
    seen: dict[tuple[str, int], Entry] = {}
    for entry, version in zip(entries, versions, strict=True):
        first = seen.setdefault((version.name, version.version), entry)
        if first is not entry:
            raise entry.error(
                "triton_version",
                f"{version.label} is a duplicate of {first.where} at line {first.line}",
            )


def refuse_one_folder_for_two(entries: Sequence[Entry], versions: Sequence[ModelVersion]) -> None:
    """Raise CatalogError for two names that are one folder where case does not count.

    On every filesystem, so that what one person commits works for the next.
    """
    seen: dict[str, tuple[Entry, str]] = {}
    for entry, version in zip(entries, versions, strict=True):
        first, name = seen.setdefault(_folded(version.name), (entry, version.name))
        if name != version.name:
            raise entry.error(
                "name",
                f"{version.name!r} is one folder with {name!r} of line {first.line} where the filesystem ignores case",
                hint="Rename one of the two models.",
            )


def _folded(name: str) -> str:
    """The same for names that are one to macOS or Windows: in case, or in how an accented letter is composed."""
    if name.isascii():
        return name.casefold()
    import unicodedata

    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
