"""models.lock: what each version of models.toml was resolved to, so that every later download gets the same bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tritonops.display_text import clip
from tritonops.documents import abbreviate, parse_toml, toml_key, toml_string
from tritonops.errors import InputError
from tritonops.files import read_text_if_present
from tritonops.models.catalog import valid_values as valid
from tritonops.models.catalog.catalog import Catalog, HubSource, ModelVersion, UrlSource
from tritonops.redaction import redact

MAX_LOCK = 4 << 20
"""Bytes of a models.lock: about 15,000 versions."""

_HEADER = """\
# What models.toml was resolved to. Written by `inv models.lock` and `inv models.download`; commit it.
# `inv models.lock --include NAME` resolves one model again.
"""


@dataclass(frozen=True)
class LockedFile:
    """One file of a version."""

    path: str
    """Below `<model>/<version>/`, as a POSIX path."""
    size: int
    sha256: str


@dataclass(frozen=True)
class LockedVersion:
    """One version, pinned."""

    name: str
    version: int
    source: str
    """What models.toml asked for, as `requested` words it; another wording makes the pin stale."""
    commit: str | None
    """For a Hub source: the commit that its revision was resolved to."""
    files: tuple[LockedFile, ...]

    @property
    def label(self) -> str:
        """The version as people write it: "clip/1"."""
        return f"{self.name}/{self.version}"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


Lock = Mapping[str, LockedVersion]
"""Pins by label."""


def requested(version: ModelVersion, catalog_path: Path) -> str:
    """Word what models.toml asks for; a pin is valid for as long as this stays the same.

    A URL without its query, which may contain a signature: its file is known by the SHA-256 of the entry.
    """
    source = version.source
    folder = "/" if version.kind == "directory" else ""
    if isinstance(source, HubSource):
        return f"hf:{source.repo_id}@{source.revision}:{version.path}{folder} as {version.local_name}"
    if isinstance(source, UrlSource):
        return f"{redact(source.url)} as {version.local_name}"
    return f"path:{os.path.relpath(source.path, catalog_path.parent)}{folder} as {version.local_name}"


def pin_of(version: ModelVersion, lock: Lock, catalog_path: Path) -> LockedVersion | None:
    """Find the pin that still answers what models.toml asks for."""
    pin = lock.get(version.label)
    return pin if pin is not None and mismatch(version, pin, catalog_path) is None else None


def differences(catalog: Catalog, lock: Lock) -> dict[str, str]:
    """Say where models.toml and the lock disagree, by label; nothing where they agree."""
    found = {}
    for version in catalog.versions:
        if version.label not in lock:
            found[version.label] = "is not locked"
        elif why := mismatch(version, lock[version.label], catalog.path):
            found[version.label] = why
    for label in lock.keys() - {version.label for version in catalog.versions}:
        found[label] = "is locked, but models.toml does not have it"
    return dict(sorted(found.items()))


def mismatch(version: ModelVersion, pin: LockedVersion, catalog_path: Path) -> str | None:
    """Say why a pin does not answer what models.toml asks for; None where it does."""
    locked = redact(pin.source)  # of an earlier release: it wrote the query down
    if (asked := requested(version, catalog_path)) != locked:
        return f"models.toml asks for {asked}, the lock was made for {locked}"
    if not _lies_where_asked(version, pin):
        return f"the lock has other files than {version.local_name}"
    if isinstance(version.source, UrlSource) and version.source.sha256 != pin.files[0].sha256:
        return "models.toml has another sha256 than the lock"
    return None


def _lies_where_asked(version: ModelVersion, pin: LockedVersion) -> bool:
    """Whether the pinned files are those that Triton looks for; a lock that was edited may have others."""
    if version.kind == "single_file":
        return [file.path for file in pin.files] == [version.local_name]
    return all(file.path.startswith(f"{version.local_name}/") for file in pin.files)


def load_lock(path: Path) -> dict[str, LockedVersion]:
    """Read models.lock; where there is none, nothing is pinned. Raises InputError for a file that is none."""
    return parse_lock(path, read_lock_text(path))


def read_lock_text(path: Path) -> str:
    """Read models.lock as it is; an empty text where there is none. Raises InputError."""
    return read_text_if_present(path, MAX_LOCK) or ""


def parse_lock(path: Path, text: str) -> dict[str, LockedVersion]:
    """Check the text of the models.lock at `path`; pins by label. Raises InputError."""
    try:
        models = _read_as_written(text) or parse_toml(text, path).get("models", {})
    except InputError as exc:
        raise InputError(str(exc), hint=_AFTER_A_MERGE) from exc
    try:
        pins = [_pin(name, version, entry) for name, entries in models.items() for version, entry in entries.items()]
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        # Ours are ValueErrors; the others come of a value of another kind than expected.
        expected = "expected tables [models.NAME.VERSION] with files"
        reason = clip(str(exc), 300) if isinstance(exc, ValueError) else expected
        raise InputError(f"{path} is not a lock: {reason}", hint=_AFTER_A_MERGE) from exc
    return {pin.label: pin for pin in pins}


_AFTER_A_MERGE = "After a merge, keep one of the two sides and run: inv models.lock"


_STRING = r'"[^"\\\x00-\x1f\x7f]*"'
_FILE = rf"    \{{ path = {_STRING}, size = (?:0|[1-9][0-9]{{0,18}}), sha256 = {_STRING} \}},\n"
_ENTRY = re.compile(
    rf"\n?\[models\.([A-Za-z0-9_-]+|{_STRING})\.([1-9][0-9]*)\]\nsource = ({_STRING})\n(?:commit = ({_STRING})\n)?"
    rf"files = \[\n((?:{_FILE})+)\]\n"
)
_FIELDS = re.compile(r'path = "([^"]*)", size = ([0-9]+), sha256 = "([^"]*)"')


def _read_as_written(text: str) -> dict[str, dict[str, Any]] | None:
    """Read a models.lock that is as `format_lock` writes it, five times as fast as TOML; None for any other text.

    Anything that could mean something else in TOML is left to its parser: escapes, a name that comes twice.
    """
    if not text.startswith(_HEADER):
        return None
    models: dict[str, dict[str, Any]] = {}
    position = len(_HEADER)
    while found := _ENTRY.match(text, position):
        name, version, source, commit, lines = found.groups()
        files = [{"path": path, "size": int(size), "sha256": sha256} for path, size, sha256 in _FIELDS.findall(lines)]
        entries = models.setdefault(name.strip('"'), {})
        if version in entries:
            return None
        entries[version] = {"source": source[1:-1], "files": files, **({"commit": commit[1:-1]} if commit else {})}
        position = found.end()
    return models if position == len(text) else None


def _pin(name: str, version: str, entry: dict[str, Any]) -> LockedVersion:
    files = tuple(_file(**file) for file in entry["files"])
    if not files:
        raise ValueError(f"{abbreviate(name)}, version {abbreviate(version)}: has no files")
    commit = entry.get("commit")
    return LockedVersion(
        _inside(name), _version(version), _string(entry["source"]), None if commit is None else _string(commit), files
    )


def _file(path: object, size: object, sha256: object) -> LockedFile:
    digest = _string(sha256)
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError(f"{abbreviate(digest)} is not a SHA-256")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 63:
        raise ValueError(f"{abbreviate(size)} is not a size")
    return LockedFile(_inside(path), size, digest)


def _version(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,18}", text):
        raise ValueError(f"{abbreviate(text)} is not a version")
    return valid.version(int(text))


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{abbreviate(value)} is not a string")
    return value


def _inside(value: object) -> str:
    path = _string(value)
    if not is_inside(path):
        raise ValueError(f"{abbreviate(path)} is not a path inside a folder")
    return path


_NO_PARTS = frozenset(("", ".", ".."))


def is_inside(path: str) -> bool:
    """Whether a POSIX path, taken below a folder, stays there: relative, no `..`, nothing that a terminal obeys."""
    return path.isprintable() and "\\" not in path and _NO_PARTS.isdisjoint(path.split("/"))


def format_lock(pins: Iterable[LockedVersion]) -> str:
    """Write the text of a models.lock, sorted, with one line a file, so that a merge conflict stays readable."""
    return "\n".join([_HEADER, *(_written(pin) for pin in sorted(pins, key=lambda pin: (pin.name, pin.version)))])


def _written(pin: LockedVersion) -> str:
    lines = [f"[models.{toml_key(pin.name)}.{pin.version}]", f"source = {toml_string(pin.source)}"]
    lines += [f"commit = {toml_string(pin.commit)}"] if pin.commit else []
    files = [
        f'    {{ path = {toml_string(file.path)}, size = {file.size}, sha256 = "{file.sha256}" }},'
        for file in sorted(pin.files, key=lambda file: file.path)
    ]
    return "\n".join([*lines, "files = [", *files, "]", ""])
