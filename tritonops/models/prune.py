"""What can go: stored files to which neither models.lock nor a version on disk refers, and replaced files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tritonops.models.lock import load_lock
from tritonops.models.progress import Progress
from tritonops.models.replaced import delete_leaf, replaced_files
from tritonops.models.repository import Repository
from tritonops.models.store import Store
from tritonops.settings import Settings


@dataclass(frozen=True)
class Garbage:
    """Files of the store that can go, and the bytes that the disk gets back."""

    files: tuple[Path, ...]
    bytes: int
    stores: tuple[Path, ...]
    """The folders that they lie in: more than one where the store is not beside the models."""

    def shown(self, file: Path) -> str:
        """Name a file as seen from the store."""
        store = next(folder for folder in self.stores if folder in file.parents)
        return file.relative_to(store).as_posix()

    def delete(self) -> None:
        """Delete them."""
        for file in self.files:
            with suppress(FileNotFoundError):
                delete_leaf(file)
            with suppress(OSError):  # the store itself is never empty
                for folder in file.parents:
                    folder.rmdir()


@contextmanager
def garbage(settings: Settings, progress: Progress | None = None) -> Iterator[Garbage]:
    """Find what can go. While the block runs, no download can come to need it.

    Kept are: what models.lock names, and the beginnings of it; what a version on disk, or a release, is a link to or a
    copy of. What commands have replaced can go. A models.lock of another branch or clone is not known here: its files
    would be fetched again.
    """
    store = Store(settings.store_dir)
    with store.locked((progress or Progress()).waiting):
        wanted = {file.sha256 for pin in load_lock(settings.lock_path).values() for file in pin.files}
        repository = Repository(settings.models_dir)
        for left in _folders(repository.beside / "staging"):
            with repository.changing():
                repository.replaced.move_away(left, store.is_ours)
        copies = _on_disk(repository)
        files = [blob for blob in store.blobs() if blob.name not in wanted and not _is_used(blob, copies)]
        files += [path for path in store.partials() if path.name.removesuffix(".journal") not in wanted]
        stores = tuple(dict.fromkeys((store.root, repository.beside)))
        files += [file for folder in stores for file in replaced_files(folder)]
        yield Garbage(tuple(files), _freed(files), stores)


def _folders(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def _freed(files: list[Path]) -> int:
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
    folders = (repository.root, repository.disabled)
    found = [path.lstat() for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {(stat.st_size, stat.st_mtime_ns) for stat in found}
