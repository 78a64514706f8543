"""Unreferenced files of the store, which neither models.lock nor a version on disk refers to, and replaced files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from errno import ENOTEMPTY
from pathlib import Path

from tritonops.errors import PartialFailureError
from tritonops.models.catalog.lockfile import load_lock
from tritonops.models.disk.replaced_files import delete_leaf, displayed, remove_empty, replaced_files
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store
from tritonops.models.transfer.progress import Progress
from tritonops.project import Project


@dataclass(frozen=True)
class UnreferencedFiles:
    """Unreferenced and replaced files with their sizes, and the bytes that deleting them frees."""

    files: Mapping[Path, int]
    bytes: int
    stores: tuple[Path, ...]
    """Their folders: two where the store is on another path than the models'."""

    def displayed_name(self, file: Path) -> str:
        """Name a file as seen from the store."""
        store = next(folder for folder in self.stores if folder in file.parents)
        return displayed(file.relative_to(store).as_posix())


def find_unreferenced(project: Project, progress: Progress | None = None) -> UnreferencedFiles:
    """Find unreferenced and replaced files.

    Kept are: files that models.lock names, complete or partial, and those that a version on disk, or a release, is a
    link to or a copy of. Replaced files can go. A models.lock of another branch or clone is not known here: its files
    would be fetched again.
    """
    with project.store.locked("pruning the store", on_wait=(progress or Progress()).waiting):
        return _unreferenced(project)


def delete_unreferenced(
    project: Project, found: UnreferencedFiles, progress: Progress | None = None
) -> UnreferencedFiles:
    """Delete what was found, except for what has come into use since. Returns what was deleted.

    Raises PartialFailureError with what could not be deleted; the rest is.
    """
    failures, in_use = dict[str, str](), set[Path]()
    with project.store.locked("pruning the store", on_wait=(progress or Progress()).waiting):
        now = _unreferenced(project)
        deleted = _described([file for file in now.files if file in found.files], now.stores)
        for file in deleted.files:
            try:
                with suppress(FileNotFoundError):
                    delete_leaf(file)
            except OSError as exc:
                if exc.errno == ENOTEMPTY:  # another command has moved something into this empty folder
                    in_use.add(file)
                    continue
                failures[deleted.displayed_name(file)] = str(exc.strerror)
            # The store itself is never empty.
            remove_empty(file.parent, next(store for store in deleted.stores if store in file.parents))
    if failures:
        raise PartialFailureError(f"{len(failures)} of {len(deleted.files)} files could not be deleted", failures)
    return replace(deleted, files={file: size for file, size in deleted.files.items() if file not in in_use})


def _unreferenced(project: Project) -> UnreferencedFiles:
    """The caller has locked the store."""
    store, repository = Store(project.settings.store_dir), project.repository
    pinned = {file.sha256 for pin in load_lock(project.settings.lock_path).values() for file in pin.files}
    for left in _folders(repository.work_dir / "staging"):
        with repository.changing():
            repository.replaced.move_away(left, store.is_ours)
    copies = _on_disk(repository)
    files = [blob for blob in store.blobs() if blob.name not in pinned and not _is_used(blob, copies)]
    files += [path for path in store.partials() if path.name.removesuffix(".journal") not in pinned]
    stores = tuple(dict.fromkeys((store.root, repository.work_dir)))
    files += [file for folder in stores for file in replaced_files(folder)]
    return _described(files, stores)


def _described(files: Sequence[Path], stores: tuple[Path, ...]) -> UnreferencedFiles:
    return UnreferencedFiles({file: file.lstat().st_size for file in files}, _freed(files), stores)


def _folders(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def _freed(files: Sequence[Path]) -> int:
    """Count the bytes of a file with several links once, and only if all of its links go."""
    stats = [file.lstat() for file in files]
    links = Counter((stat.st_dev, stat.st_ino) for stat in stats)
    freed = {(stat.st_dev, stat.st_ino): stat.st_blocks * 512 for stat in stats}
    kept = {(stat.st_dev, stat.st_ino) for stat in stats if stat.st_nlink > links[stat.st_dev, stat.st_ino]}
    return sum(size for file, size in freed.items() if file not in kept)


def _is_used(blob: Path, copies: set[tuple[int, int]]) -> bool:
    found = blob.stat()
    return found.st_nlink > 1 or (found.st_size, found.st_mtime_ns) in copies


def _on_disk(repository: Repository) -> set[tuple[int, int]]:
    """Sizes and times of the files of all models; what is moved or removed meanwhile may be missing."""
    found = set()
    for folder in (repository.root, repository.disabled):
        for parent, _, names in os.walk(folder):
            for name in names:
                with suppress(FileNotFoundError):
                    stat = Path(parent, name).lstat()
                    found.add((stat.st_size, stat.st_mtime_ns))
    return found
