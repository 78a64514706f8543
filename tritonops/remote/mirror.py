"""One models directory made equal to another by hard links, model by model.

A model that differs is put together beside the target and takes its place by one rename: Triton never finds half a
model. What comes new is newer to Triton than what was there, whatever its age, since linking a file changes its ctime:
an older version that comes back is really loaded.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tritonops.files import link_or_copy
from tritonops.models.repository import Repository


def differing(source: Path, target: Path) -> list[str]:
    """List the models, enabled or disabled, that are not the same files in both repositories."""
    here, there = Repository(source), Repository(target)
    names = sorted({*here.names(), *there.names()})
    return [name for name in names if _signature(here, name) != _signature(there, name)]


def mirror(source: Path, target: Path) -> list[str]:
    """Make the repository at `target` equal to the one at `source`, and return the models that differed."""
    names = differing(source, target)
    stage = target.with_name(".mirror")
    shutil.rmtree(stage, ignore_errors=True)
    for name in names:
        _replace(name, Repository(source), Repository(target), stage)
    target.mkdir(parents=True, exist_ok=True)
    return names


def _replace(name: str, source: Repository, target: Repository, stage: Path) -> None:
    new = source.home(name)
    if new:
        shutil.copytree(new, stage / name, copy_function=link_or_copy, symlinks=True)
    with target.changing():
        for folder in (target.root, target.disabled):
            if (folder / name).exists():
                (stage / "old").mkdir(parents=True, exist_ok=True)
                (folder / name).rename(stage / "old" / name)
        if new:
            place = target.root if new.parent == source.root else target.disabled
            place.mkdir(parents=True, exist_ok=True)
            (stage / name).rename(place / name)
    shutil.rmtree(stage, ignore_errors=True)


def _signature(repository: Repository, name: str) -> object:
    """Which files the model is made of, and where it stands; only a hard link is the same file."""
    home = repository.home(name)
    if home is None:
        return None
    files = {str(path.relative_to(home)): _identity(path) for path in home.rglob("*") if not path.is_dir()}
    return home.parent == repository.root, files


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino
