"""Stored files that nothing refers to: neither models.lock, nor a version on disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tritonops.models.lock import load_lock
from tritonops.models.progress import Progress
from tritonops.models.repository import Repository
from tritonops.models.store import Store
from tritonops.settings import Settings


@dataclass(frozen=True)
class Garbage:
    """Files of the store that can go, and the bytes that the disk gets back."""

    files: tuple[Path, ...]
    bytes: int

    def delete(self) -> None:
        """Delete them."""
        for file in self.files:
            file.unlink(missing_ok=True)


@contextmanager
def garbage(settings: Settings, progress: Progress | None = None) -> Iterator[Garbage]:
    """Find what can go. While the block runs, no download can come to need it.

    Kept are: what models.lock names, and the beginnings of it; what a version on disk, or a release, is a link to or a
    copy of. A models.lock of another branch or clone is not known here: its files would be fetched again.
    """
    store = Store(settings.store_dir)
    with store.locked((progress or Progress()).waiting):
        wanted = {file.sha256 for pin in load_lock(settings.lock_path).values() for file in pin.files}
        repository = Repository(settings.models_dir)
        shutil.rmtree(repository.beside / "staging", ignore_errors=True)  # links that a killed run left
        copies = _on_disk(repository)
        files = [blob for blob in store.blobs() if blob.name not in wanted and not _is_used(blob, copies)]
        files += [path for path in store.partials() if path.name.removesuffix(".journal") not in wanted]
        yield Garbage(tuple(files), sum(path.stat().st_blocks * 512 for path in files))


def _is_used(blob: Path, copies: set[tuple[int, int]]) -> bool:
    found = blob.stat()
    return found.st_nlink > 1 or (found.st_size, found.st_mtime_ns) in copies


def _on_disk(repository: Repository) -> set[tuple[int, int]]:
    folders = (repository.root, repository.disabled)
    found = [path.lstat() for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {(stat.st_size, stat.st_mtime_ns) for stat in found}
