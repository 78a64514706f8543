"""Versions from the store into a models directory: hard links, and one rename that makes them appear."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

from tritonops.errors import RepositoryError
from tritonops.files import link_or_copy, make_readable
from tritonops.models.catalog.lockfile import LockedVersion
from tritonops.models.disk.replaced_files import leaves, require_no_link
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store, staging
from tritonops.models.sources.listing import ListedFile, Listing

State = Literal["absent", "incomplete", "installed", "other bytes"]
"""What is in a version's place. "incomplete" lacks pinned files, and has nothing else in their place."""


def state(store: Store, pin: LockedVersion, repository: Repository, *, folder: Path | None = None) -> State:
    """Compare the version's place with its pin, by content: who put the files there does not matter.

    Further files beside the pinned ones do not matter either. Only files that changed since they were last read are
    read. `folder` is the version's place, for a caller who has just looked it up.
    """
    folder = folder or repository.version_dir(pin.name, pin.version)
    if all(store.digests.matches(folder / file.path, file.size, file.sha256) for file in pin.files):
        return "installed"
    if not os.path.lexists(folder):
        return "other bytes" if _is_no_folder(folder.parent) else "absent"
    if _is_no_folder(folder) or any(_is_taken(store, folder, pin)):
        return "other bytes"
    return "incomplete" if any(folder.iterdir()) else "absent"


def take_in(store: Store, listing: Listing, folder: Path) -> None:
    """Take files that are in the version's place, `folder`, and not in the store, into the store. They stay in place.

    The caller has locked the store. Raises SourceError and StoreError.
    """
    lacking = [(file, file.sha256) for file in listing.files if file.sha256 and not store.has(file.sha256)]
    if not lacking or not folder.is_dir():
        return
    for file, sha256 in lacking:
        if store.digests.matches(folder / file.path, file.size, sha256):
            take = store.copy_in if _is_behind_link(folder, file.path) else store.adopt
            take(folder / file.path, sha256)


def _is_behind_link(folder: Path, path: str) -> bool:
    """Whether a file of a version belongs to somebody else: the model, the version or a folder in it is a link."""
    return folder.parent.is_symlink() or any((folder / above).is_symlink() for above in PurePosixPath(path).parents)


@contextmanager
def staged(
    store: Store, pin: LockedVersion, repository: Repository, *, earlier: LockedVersion | None = None
) -> Iterator[Callable[[], None]]:
    """Put a version, whose files are all in the store, together beside the models directory.

    Calling what this gives, under `repository.changing()`, puts it where the model lives, complete, by one rename.
    Further files of the version that it replaces stay; what is replaced and is neither a stored file nor as `earlier`
    says is moved to `.store/replaced/`. The caller has locked the store. Raises RepositoryError and StoreError.
    """
    new = staged_version(pin, repository)
    stage = new.parent
    left = _clear(store, stage, repository)
    with staging(stage):
        new.mkdir()
        targets = {new / file.path: file.sha256 for file in pin.files}
        for folder in {target.parent: None for target in targets}:
            folder.mkdir(parents=True, exist_ok=True)
        for target, sha256 in targets.items():
            store.link(sha256, target)

        # What the swap wants to know of the files that it replaces is read now: it keeps other commits waiting.
        present = repository.version_dir(pin.name, pin.version)
        for path in leaves(present):
            _Ours(store, present, pin, earlier)(path)

        def swap() -> None:
            with repository.translated_errors():
                repository.refuse_link(pin.name)
                place = repository.version_dir(pin.name, pin.version)
                if os.path.lexists(place.parent) and not _is_no_folder(place.parent):
                    if left and not os.path.lexists(place):  # killed between the two renames of a replacement
                        _carry_over(left / new.name, new, lambda path: False)
                    _replace_version(new, place, repository, _Ours(store, place, pin, earlier))
                else:
                    _add_model(stage, place.parent, repository)

        yield swap


def staged_version(pin: LockedVersion, repository: Repository) -> Path:
    """Where `staged` puts a version together."""
    return repository.beside / "staging" / pin.name / str(pin.version)


def match_small_files(listing: Listing, repository: Repository) -> Listing:
    """Fill in the SHA-256 of small files that the Hub names by git's hash, where the same bytes are in place."""
    if all(file.sha256 for file in listing.files):
        return listing
    try:
        folder = repository.version_dir(listing.version.name, listing.version.version)
    except RepositoryError:
        return listing
    if not folder.is_dir():
        return listing
    files = tuple(_matched(file, folder / file.path) if file.sha256 is None else file for file in listing.files)
    return replace(listing, files=files)


def _matched(file: ListedFile, placed: Path) -> ListedFile:
    try:
        if placed.stat().st_size != file.size or not placed.is_file():
            return file
        content = placed.read_bytes()
    except OSError:
        return file
    header = f"blob {file.size}\0".encode()
    if hashlib.sha1(header + content, usedforsecurity=False).hexdigest() != file.git_oid:
        return file
    return replace(file, sha256=hashlib.sha256(content).hexdigest())


def _is_no_folder(path: Path) -> bool:
    """Whether there is something that is neither a folder nor, for a model, a link to one."""
    return os.path.lexists(path) and (path.is_symlink() or not path.is_dir())


class _Ours:
    """Tells which files of a version's place are ours: links to stored files, and what a pin says of their path."""

    def __init__(self, store: Store, place: Path, *pins: LockedVersion | None) -> None:
        self._store, self._place = store, place
        self._pinned = {(file.path, file.sha256) for pin in pins if pin for file in pin.files}

    def __call__(self, path: Path) -> bool:
        if self._store.is_ours(path):
            return True
        name = path.relative_to(self._place).as_posix()
        if path.is_symlink() or not any(name == pinned for pinned, _ in self._pinned):
            return False
        try:
            return (name, self._store.digests.sha256(path)) in self._pinned
        except OSError:
            return False


def _is_taken(store: Store, folder: Path, pin: LockedVersion) -> Iterator[bool]:
    """Tell for each pinned file whether something else is in its place, or in that of a folder above it."""
    for file in pin.files:
        placed = folder / file.path
        yield any(_is_no_folder(folder / above) for above in PurePosixPath(file.path).parents[:-1])
        yield os.path.lexists(placed) and not store.digests.matches(placed, file.size, file.sha256)


def _replace_version(new: Path, place: Path, repository: Repository, is_ours: Callable[[Path], bool]) -> None:
    make_readable(new)
    carried = _carry_over(place, new, is_ours)
    if _is_no_folder(place) or any(place.glob("*")):
        with repository.replaced.moved_away(place, lambda path: path in carried or is_ours(path)):
            new.rename(place)
    else:
        new.rename(place)


def _carry_over(place: Path, new: Path, is_ours: Callable[[Path], bool]) -> set[Path]:
    """Give the new version the further files of the old one, which keeps them until the new one is in place."""
    carried: set[Path] = set()
    made: list[tuple[Path, Path]] = []
    for path in leaves(place) if place.is_dir() and not place.is_symlink() else []:
        target = new / path.relative_to(place)
        if path == place or _is_in_the_way(target, new) or is_ours(path):
            continue
        made += _made_folders(path.parent, target.parent)
        if path.is_dir() and not path.is_symlink():
            made += _made_folders(path, target)
        else:
            link_or_copy(path, target)
        carried.add(path)
    for source, target in reversed(made):  # once they are filled: a folder may be read-only
        shutil.copystat(source, target)
    return carried


def _is_in_the_way(target: Path, new: Path) -> bool:
    above = [folder for folder in target.parents if new in folder.parents]
    return os.path.lexists(target) or any(_is_no_folder(folder) for folder in above)


def _made_folders(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """Make a folder and those above it that are missing; give each with the one whose mode it is to have."""
    if not target.exists():
        yield from _made_folders(source.parent, target.parent)
        target.mkdir()
        yield source, target


def _add_model(stage: Path, model: Path, repository: Repository) -> None:
    """A folder is a model to Triton, so it appears together with its first version, and with its config."""
    repository.copy_pending_config(model.name, stage)
    make_readable(stage)
    with repository.replaced.moved_away(model) if os.path.lexists(model) else nullcontext():
        stage.rename(model)
    repository.drop_pending_config(model.name)


def _clear(store: Store, stage: Path, repository: Repository) -> Path | None:
    """Remove what a killed run left where a version is put together; what it did not make is kept.

    Returns where that is kept.
    """
    with repository.translated_errors():
        require_no_link(stage.parent)
        if not os.path.lexists(stage):
            return None
        return repository.replaced.move_away(stage, lambda path: path.is_dir() or store.is_ours(path))
