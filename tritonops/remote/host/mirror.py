"""Make one models directory equal to another by hard links, model by model.

A model that differs is built outside the target and moved there by one rename: Triton never sees half a model. Linking
a file changes its ctime, so an older version is newer to Triton too, and is really loaded.

A file without another link is in no release: when its model is replaced or removed, it is kept in `.store/replaced/`.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import ExitStack
from pathlib import Path

from tritonops.models.disk.hard_links import link_or_copy
from tritonops.models.disk.replaced_files import leaves
from tritonops.models.disk.repository import Repository


def differing(source: Path, target: Path) -> list[str]:
    """List the models, enabled or disabled, that are not the same files in both repositories."""
    before, after = Repository(target), Repository(source)
    names = sorted({*before.names(), *after.names()})
    return [name for name in names if _signature(before, name) != _signature(after, name)]


def mirror(source: Path, target: Path) -> list[str]:
    """Make the repository at `target` equal to the one at `source`, and return the models that differed."""
    names = differing(source, target)
    stage = target.with_name(".mirror")
    _keep_left_files(Repository(target), stage / "old")
    shutil.rmtree(stage, ignore_errors=True)
    for name in names:
        _replace(name, Repository(source), Repository(target), stage)
    target.mkdir(parents=True, exist_ok=True)
    return names


def _replace(name: str, source: Repository, target: Repository, stage: Path) -> None:
    new = source.home(name)
    if new:
        shutil.copytree(new, stage / name, copy_function=link_or_copy, symlinks=True)
    is_released = _has_links if new is None or _is_linked(stage / name) else _is_any
    with target.changing(), ExitStack() as stack:
        for folder in (target.root, target.disabled):
            if os.path.lexists(folder / name):
                stack.enter_context(target.replaced.moved_away(folder / name, is_released))
        if new:
            folder = target.root if new.parent == source.root else target.disabled
            folder.mkdir(parents=True, exist_ok=True)
            (stage / name).rename(folder / name)
    shutil.rmtree(stage, ignore_errors=True)


def discard(repository: Repository, name: str) -> None:
    """Remove a model that mirror() added; files that are in no release are kept."""
    with repository.changing():
        for folder in (repository.root, repository.disabled):
            if os.path.lexists(folder / name):
                repository.replaced.move_away(folder / name, _has_links)


def _keep_left_files(repository: Repository, old: Path) -> None:
    """Keep the models that a killed earlier version of tritonops left there."""
    if old.is_dir():
        with repository.changing():
            repository.replaced.move_away(old, _has_links)


def _has_links(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and found.st_nlink > 1


def _is_linked(folder: Path) -> bool:
    """Whether the filesystem has hard links: without them every file would seem to be in no release."""
    return any(_has_links(path) for path in leaves(folder))


def _is_any(path: Path) -> bool:
    return not path.is_dir() or path.is_symlink()


def _signature(repository: Repository, name: str) -> object:
    """The identity of a model's files, and whether it is enabled; only a hard link is the same file."""
    home = repository.home(name)
    if home is None:
        return None
    files = {str(path.relative_to(home)): _identity(path) for path in home.rglob("*") if not path.is_dir()}
    return home.parent == repository.root, files


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
