"""What is installed of a version, compared with its pin by content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from tritonops.models.catalog.lockfile import LockedVersion
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store
from tritonops.models.sources.listing import Listing

InstallState = Literal["absent", "incomplete", "installed", "other bytes"]
"""State of a version's folder. "incomplete" lacks pinned files, and has nothing else at their paths."""


def install_state(
    store: Store, pin: LockedVersion, repository: Repository, *, folder: Path | None = None
) -> InstallState:
    """Compare the version's folder with its pin, by content: who put the files there does not matter.

    Files that the pin does not name do not matter either. Only files that changed since they were last read are read.
    `folder` is the version's folder, for a caller who has just looked it up.
    """
    folder = folder or repository.version_dir(pin.name, pin.version)
    if all(store.digests.matches(folder / file.path, file.size, file.sha256) for file in pin.files):
        return "installed"
    if not os.path.lexists(folder):
        return "other bytes" if is_no_folder(folder.parent) else "absent"
    if is_no_folder(folder) or any(_is_taken(store, folder, pin)):
        return "other bytes"
    return "incomplete" if any(folder.iterdir()) else "absent"


def adopt_installed(store: Store, listing: Listing, folder: Path) -> None:
    """Add installed files of a version, in `folder`, that the store lacks to the store. They stay where they are.

    The caller has locked the store. Raises SourceError and StoreError.
    """
    missing = [(file, file.sha256) for file in listing.files if file.sha256 and not store.has(file.sha256)]
    if not missing or not folder.is_dir():
        return
    for file, sha256 in missing:
        if store.digests.matches(folder / file.path, file.size, sha256):
            adopt = store.copy_in if _is_behind_link(folder, file.path) else store.adopt
            adopt(folder / file.path, sha256)


def is_no_folder(path: Path) -> bool:
    """Whether there is something that is neither a folder nor, for a model, a link to one."""
    return os.path.lexists(path) and (path.is_symlink() or not path.is_dir())


def _is_behind_link(folder: Path, path: str) -> bool:
    """Whether a file of a version belongs to somebody else: the model, the version or a folder in it is a link."""
    return folder.parent.is_symlink() or any((folder / above).is_symlink() for above in PurePosixPath(path).parents)


def _is_taken(store: Store, folder: Path, pin: LockedVersion) -> Iterator[bool]:
    """Yield for each pinned file whether its path, or a folder above it, is something else."""
    for file in pin.files:
        installed = folder / file.path
        yield any(is_no_folder(folder / above) for above in PurePosixPath(file.path).parents[:-1])
        yield os.path.lexists(installed) and not store.digests.matches(installed, file.size, file.sha256)
