"""Paths without characters that a shell or a list separated by colons interprets, for the Python backend.

Any other path gets a symbolic link with a plain name, which is removed with the server. The links are in the user's
cache, because temporary folders are emptied while servers run.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tritonops.errors import RepositoryError
from tritonops.process_environment import cache_dir

_PLAIN = re.compile(r"[\w/.@%+=,-]+", re.ASCII)


def plain_path(path: Path, server_dir: Path) -> Path:
    """Give the path itself, or a plain link to it. Raises RepositoryError."""
    if _PLAIN.fullmatch(str(path)):
        return path
    for folder in _link_folders(server_dir):
        with suppress(OSError):
            return _link(folder / _plain_name(path), path)
    raise RepositoryError(
        f"the embedded Triton cannot read from {path}: its Python backend takes only letters, digits and /.@%+=,_- in "
        "a path, and no folder for a link with such a name was found",
        hint="Move the project, or set TRITON_MODELS_DIR.",
    )


def remove_links(server_dir: Path) -> None:
    """Remove the links of the server with this folder."""
    for folder in _link_folders(server_dir):
        shutil.rmtree(folder, ignore_errors=True)


def _plain_name(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def _link_folders(server_dir: Path) -> Iterator[Path]:
    """List folders of this user for links, the preferred one first."""
    name = f"server-{_plain_name(server_dir)}"
    with suppress(RuntimeError):
        cache = cache_dir()
        if cache.is_absolute() and _PLAIN.fullmatch(str(cache)):
            yield cache / name
    yield Path(f"/var/tmp/tritonops-{os.getuid()}-{name}")  # noqa: S108 (its owner is checked)


def _link(link: Path, target: Path) -> Path:
    link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = link.parent.lstat()
    if found.st_uid != os.getuid() or link.parent.is_symlink():
        raise PermissionError(link.parent)
    if not link.is_symlink() or link.readlink() != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return link
