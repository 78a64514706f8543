"""Where a version's files come from: what they are called there, how large they are, and what their bytes must be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import SourceError
from tritonops.models.catalog import ModelVersion, PathSource
from tritonops.models.lock import LockedFile, LockedVersion, is_inside, requested
from tritonops.models.store import file_sha256


@dataclass(frozen=True)
class LocalFile:
    """Bytes on this machine."""

    path: Path


Origin = LocalFile
"""Where one file's bytes can be had."""


def resolve(version: ModelVersion, catalog_path: Path) -> LockedVersion:
    """Find out what a version consists of now. Raises SourceError."""
    assert isinstance(version.source, PathSource)
    files = tuple(
        LockedFile(path, file.stat().st_size, file_sha256(file)) for path, file in _local_files(version, version.source)
    )
    return LockedVersion(version.name, version.version, requested(version, catalog_path), None, files)


def origin(version: ModelVersion, file: LockedFile) -> Origin:
    """Say where the bytes of one of a version's files can be had."""
    assert isinstance(version.source, PathSource)
    return LocalFile(version.source.path / _below(version, file.path))


def _below(version: ModelVersion, path: str) -> str:
    """Translate a path below the version's folder to one below its source."""
    return os.path.relpath(path, version.local_name) if version.kind == "directory" else ""


def _local_files(version: ModelVersion, source: PathSource) -> Iterator[tuple[str, Path]]:
    if version.kind == "single_file":
        if not source.path.is_file():
            raise SourceError(f"{version.label}: {source.path} is not a file", hint="models.toml names it as path.")
        yield version.local_name, source.path
        return
    if not source.path.is_dir():
        raise SourceError(f"{version.label}: {source.path} is not a folder", hint="models.toml names it as path.")
    found = sorted(path for path in source.path.rglob("*") if path.is_file())
    if not found:
        raise SourceError(f"{version.label}: {source.path} has no files")
    for path in found:
        target = f"{version.local_name}/{path.relative_to(source.path).as_posix()}"
        if not is_inside(target):
            raise SourceError(f"{version.label}: {path} has a name that cannot be installed: {target!r}")
        yield target, path
