"""Models that come from files of this machine: what the files are now, and how they differ from their pin."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from tritonops.errors import SourceChangedError, SourceError, SourceMissingError, TritonOpsError
from tritonops.models.catalog.catalog import Catalog, ModelVersion, PathSource
from tritonops.models.catalog.lockfile import Lock, LockedFile, LockedVersion, is_inside, pin_of
from tritonops.models.disk.digest_cache import DigestCache

_HINT = "models.toml names it as path."
_MAX_CHANGES = 4


def list_local_files(version: ModelVersion, source: PathSource) -> dict[str, Path]:
    """Map each file's path below `<model>/<version>/` to where it is. Symbolic links are followed.

    Raises SourceMissingError where the file or folder is not there, and SourceError where it cannot be read.
    """
    return _list(version, source, _stat(source.path).st_mode)


def _list(version: ModelVersion, source: PathSource, mode: int) -> dict[str, Path]:
    if version.kind == "single_file":
        if not stat.S_ISREG(mode):
            raise SourceError(f"{source.path} is not a file", hint=_HINT)
        return {version.local_name: source.path}
    if not stat.S_ISDIR(mode):
        raise SourceError(f"{source.path} is not a folder", hint=_HINT)
    files = {f"{version.local_name}/{path.relative_to(source.path).as_posix()}": path for path in _walk(source.path)}
    for target, path in files.items():
        if not is_inside(target):
            raise SourceError(f"{path} has a name that cannot be installed")
    return dict(sorted(files.items()))


def require_unchanged(version: ModelVersion, source: PathSource, pin: LockedVersion, digests: DigestCache) -> None:
    """Compare the files with their pin. Raises SourceChangedError, and what `list_local_files` raises."""
    mode = _stat(source.path).st_mode
    if stat.S_ISDIR(mode) != (version.kind == "directory"):
        kind = "folder" if stat.S_ISDIR(mode) else "file"
        changes = [f"it is a {kind} now"]
    else:
        changes = list(_changes(pin, _list(version, source, mode), digests))
    if changes:
        more = [f"and {len(changes) - _MAX_CHANGES} more"] if len(changes) > _MAX_CHANGES else []
        name = shlex.quote(version.name)
        raise SourceChangedError(
            f"{source.path} changed since it was locked: {', '.join([*changes[:_MAX_CHANGES], *more])}",
            hint=f"To take what is there now: inv models.lock --include {name}, and then "
            f"inv models.download --include {name} --overwrite. To stay with what is locked, restore it.",
        )


def source_problems(catalog: Catalog, lock: Lock, digests: DigestCache) -> dict[str, TritonOpsError]:
    """Compare all files of this machine with their pins.

    By label, a SourceChangedError where they differ, and another error where they cannot be compared.
    """
    problems: dict[str, TritonOpsError] = {}
    for version in catalog.versions:
        pin = pin_of(version, lock, catalog.path)
        if pin and isinstance(version.source, PathSource):
            try:
                require_unchanged(version, version.source, pin, digests)
            except TritonOpsError as exc:
                problems[version.label] = exc
    digests.save()
    return problems


def _changes(pin: LockedVersion, files: Mapping[str, Path], digests: DigestCache) -> Iterator[str]:
    pinned = {file.path: file for file in pin.files}
    for target in sorted({*files, *pinned}):
        if target not in pinned:
            yield f"{target} was added"
        elif target not in files:
            yield f"{target} was removed"
        elif change := _change(pinned[target], files[target], digests):
            yield f"{target}: {change}"


def _change(pinned: LockedFile, path: Path, digests: DigestCache) -> str | None:
    if digests.matches(path, pinned.size, pinned.sha256):
        return None
    try:
        size = path.stat().st_size
        if size != pinned.size:
            return f"{size:,} bytes, locked are {pinned.size:,}"
        digest = digests.sha256(path)
    except OSError as exc:
        raise unreadable(path, exc) from exc
    return None if digest == pinned.sha256 else f"SHA-256 {digest[:12]}…, locked is {pinned.sha256[:12]}…"


def unreadable(path: Path, error: OSError) -> SourceError:
    """Word that a file of a source cannot be read."""
    return SourceError(f"cannot read {path}: {error.strerror}", hint=_HINT)


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise SourceMissingError(f"{path} is not there", hint=_HINT) from exc
    except OSError as exc:
        raise unreadable(path, exc) from exc


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder; links are followed, as what they stand for is a part of the model."""
    found = False
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        for name in folders:
            _refuse_loop(Path(parent, name))
        for name in names:
            path = Path(parent, name)
            try:
                mode = path.stat().st_mode
            except OSError as exc:
                raise unreadable(path, exc) from exc
            if not stat.S_ISREG(mode):
                raise SourceError(f"{path} is neither a file nor a folder", hint=_HINT)
            found = True
            yield path
    if not found:
        raise SourceError(f"{folder} has no files", hint=_HINT)


def _refuse_loop(path: Path) -> None:
    if path.is_symlink() and path.resolve() in [path.parent.resolve(), *path.parent.resolve().parents]:
        raise SourceError(f"{path} is a link to a folder that it lies in", hint=_HINT)


def _raise(error: OSError) -> None:
    raise unreadable(Path(error.filename), error) from error
