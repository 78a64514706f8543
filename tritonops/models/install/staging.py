"""Versions from the store into a models directory: hard links, and one rename that makes them appear."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tritonops.files import make_readable
from tritonops.models.catalog.lockfile import LockedVersion
from tritonops.models.disk.hard_links import link_or_copy
from tritonops.models.disk.replaced_files import leaves, require_no_link
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store, staging
from tritonops.models.install.state import is_no_folder

Swap = Callable[[], None]
"""Installs a staged version by one rename; called under `repository.changing()`."""


@contextmanager
def staged(
    store: Store, pin: LockedVersion, repository: Repository, *, earlier: LockedVersion | None = None
) -> Iterator[Swap]:
    """Assemble a version, whose files are all stored, next to the models directory; yields the swap that installs it.

    Other files of the version that it replaces stay. What is replaced is moved to `.store/replaced/`, unless it is a
    stored file or as `earlier` says. The caller has locked the store. Raises RepositoryError and StoreError.
    """
    new = staged_version(pin, repository)
    stage = new.parent
    left = _clear(store, stage, repository)
    with staging(stage):
        _link_files(store, pin, new)

        # Whether files are ours is read now: hashing them inside the swap would keep other commits waiting.
        present = repository.version_dir(pin.name, pin.version)
        for path in leaves(present):
            _OwnFiles(store, present, pin, earlier)(path)

        def swap() -> None:
            with repository.translated_errors():
                repository.refuse_link(pin.name)
                target = repository.version_dir(pin.name, pin.version)
                if os.path.lexists(target.parent) and not is_no_folder(target.parent):
                    if left and not os.path.lexists(target):  # killed between the two renames of a replacement
                        _carry_over(left / new.name, new, lambda path: False)
                    _replace_version(new, target, repository, _OwnFiles(store, target, pin, earlier))
                else:
                    _add_model(stage, target.parent, repository)

        yield swap


def staged_version(pin: LockedVersion, repository: Repository) -> Path:
    """Where `staged` assembles a version."""
    return repository.work_dir / "staging" / pin.name / str(pin.version)


class _OwnFiles:
    """Tells which files of a version are ours: links to stored files, and files as a pin says."""

    def __init__(self, store: Store, folder: Path, *pins: LockedVersion | None) -> None:
        self._store, self._folder = store, folder
        self._pinned = {(file.path, file.sha256) for pin in pins if pin for file in pin.files}

    def __call__(self, path: Path) -> bool:
        if self._store.is_ours(path):
            return True
        name = path.relative_to(self._folder).as_posix()
        if path.is_symlink() or not any(name == pinned for pinned, _ in self._pinned):
            return False
        try:
            return (name, self._store.digests.sha256(path)) in self._pinned
        except OSError:
            return False


def _link_files(store: Store, pin: LockedVersion, new: Path) -> None:
    new.mkdir()
    targets = {new / file.path: file.sha256 for file in pin.files}
    for folder in {target.parent: None for target in targets}:
        folder.mkdir(parents=True, exist_ok=True)
    for target, sha256 in targets.items():
        store.link(sha256, target)


def _replace_version(new: Path, target: Path, repository: Repository, is_ours: Callable[[Path], bool]) -> None:
    make_readable(new)
    carried = _carry_over(target, new, is_ours)
    if is_no_folder(target) or any(target.glob("*")):
        with repository.replaced.moved_away(target, lambda path: path in carried or is_ours(path)):
            new.rename(target)
    else:
        new.rename(target)


def _carry_over(old: Path, new: Path, is_ours: Callable[[Path], bool]) -> set[Path]:
    """Link other files of the old version into the new one; the old one keeps them until it is replaced."""
    import shutil

    carried: set[Path] = set()
    made: list[tuple[Path, Path]] = []
    for path in leaves(old) if old.is_dir() and not old.is_symlink() else []:
        target = new / path.relative_to(old)
        if path == old or _is_in_the_way(target, new) or is_ours(path):
            continue
        made += _make_folders(path.parent, target.parent)
        if path.is_dir() and not path.is_symlink():
            made += _make_folders(path, target)
        else:
            link_or_copy(path, target)
        carried.add(path)
    for source, target in reversed(made):  # once they are filled: a folder may be read-only
        shutil.copystat(source, target)
    return carried


def _is_in_the_way(target: Path, new: Path) -> bool:
    above = [folder for folder in target.parents if new in folder.parents]
    return os.path.lexists(target) or any(is_no_folder(folder) for folder in above)


def _make_folders(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """Make a folder and missing ones above it; yields each with the one that it takes its mode from."""
    if not target.exists():
        yield from _make_folders(source.parent, target.parent)
        target.mkdir()
        yield source, target


def _add_model(stage: Path, model: Path, repository: Repository) -> None:
    """Install a model's first version; to Triton a folder is a model, so its config appears with it."""
    repository.copy_pending_config(model.name, stage)
    make_readable(stage)
    with repository.replaced.moved_away(model) if os.path.lexists(model) else nullcontext():
        stage.rename(model)
    repository.drop_pending_config(model.name)


def _clear(store: Store, stage: Path, repository: Repository) -> Path | None:
    """Remove what a killed run left at the staging path; returns where files that are not ours were moved."""
    with repository.translated_errors():
        require_no_link(stage.parent)
        if not os.path.lexists(stage):
            return None
        return repository.replaced.move_away(stage, lambda path: path.is_dir() or store.is_ours(path))
