"""Versions from the store into a models directory: hard links, and one rename that makes them appear."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from tritonops.files import link_or_copy
from tritonops.models.lock import LockedFile, LockedVersion
from tritonops.models.repository import Repository
from tritonops.models.store import Store, file_sha256, staging

State = Literal["absent", "installed", "same bytes", "other bytes"]
"""What stands in a version's place. "same bytes" were put there by somebody else: they are no links to the store."""


def state(store: Store, pin: LockedVersion, repository: Repository, *, rehash: bool = False) -> State:
    """Compare the version's place with its pin.

    Told from the directory alone where it can be: a hard link to a stored file is that file, and a copy is known by
    the size and the time that it was given with it. With `rehash`, stored files are hashed too, and wrong ones dropped.
    """
    folder = repository.version_dir(pin.name, pin.version)
    pairs = [(folder / file.path, file) for file in pin.files]
    if rehash:
        for file in pin.files:
            store.drop_damaged(file.sha256)
    if all(_is_same(placed, store.blob(file.sha256), or_copied=not rehash) for placed, file in pairs):
        return "installed"
    if not os.path.lexists(folder) or (folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())):
        return "absent"
    return "same bytes" if all(_holds(placed, file) for placed, file in pairs) else "other bytes"


def install(store: Store, pin: LockedVersion, repository: Repository) -> None:
    """Put a version, whose files are all in the store, where the model lives; what stood in its place is replaced.

    It appears complete, by one rename. The caller holds the store's lock. Raises RepositoryError and StoreError.
    """
    stage = repository.beside / "staging" / pin.name
    new = stage / str(pin.version)
    targets = {new / file.path: store.blob(file.sha256) for file in pin.files}
    with staging(stage):
        new.mkdir()
        for folder in {target.parent for target in targets} - {new}:
            folder.mkdir(parents=True, exist_ok=True)
        for target, blob in targets.items():
            link_or_copy(blob, target)
        with repository.changing():
            _swap(new, repository.version_dir(pin.name, pin.version), repository)


def adopt(store: Store, pin: LockedVersion, repository: Repository) -> None:
    """Take a version with the "same bytes" into the store, without a fetch, and make it links to it."""
    folder = repository.version_dir(pin.name, pin.version)
    for file in pin.files:
        if not store.has(file.sha256):
            link_or_copy(folder / file.path, store.blob(file.sha256))
            store.blob(file.sha256).chmod(0o444)
    install(store, pin, repository)


def _holds(placed: Path, file: LockedFile) -> bool:
    return placed.is_file() and placed.stat().st_size == file.size and file_sha256(placed) == file.sha256


def _is_same(placed: Path, blob: Path, *, or_copied: bool) -> bool:
    try:
        here, there = placed.stat(), blob.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    is_copy = (here.st_size, here.st_mtime_ns) == (there.st_size, there.st_mtime_ns)
    return os.path.samestat(here, there) or (or_copied and is_copy)


def _swap(new: Path, place: Path, repository: Repository) -> None:
    replaced = new.with_name("replaced")
    if not place.parent.exists():
        # The model's folder is a model to Triton, so it appears together with its first version.
        repository.take_pending_config(new.parent.name, new.parent)
        new.parent.rename(place.parent)
        return
    if place.exists() or place.is_symlink():
        place.rename(replaced)
    try:
        new.rename(place)
    except OSError:
        if replaced.exists():
            replaced.rename(place)
        raise
