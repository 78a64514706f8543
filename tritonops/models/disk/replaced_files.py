"""`.store/replaced/<time>/`: what a command replaced or removed and did not make itself.

Each file is logged before it is moved there, under the path that it had. `models.prune` shows and frees the folder.
"""

from __future__ import annotations

import functools
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from errno import ENOTDIR, EXDEV
from pathlib import Path

from tritonops.models.disk.hard_links import link_or_copy

IsOurs = Callable[[Path], bool]
"""Whether a file is one that tritonops made and can make again."""

MAX_LISTED = 100
_log = logging.getLogger(__name__)


class ReplacedFiles:
    """Where a process moves what it replaces: to one folder, which appears with the first file."""

    def __init__(self, store_dir: Path) -> None:
        self._store_dir = store_dir

    def keep_copy(self, path: Path) -> None:
        """Keep a file or link that the caller is about to replace by a rename; until then it stays where it is.

        A folder is moved. Raises OSError.
        """
        if not os.path.lexists(path):
            return
        target = self._target(path)
        _log.warning("moving %s to %s", _described(path), displayed(str(target)))
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            _move(path, target)
        else:
            link_or_copy(path, target)

    @contextmanager
    def moved_away(self, path: Path, is_ours: IsOurs = lambda path: False) -> Iterator[Path]:
        """Move a file or folder away for the block, which may put another in its place; afterwards drop what is ours.

        The block is told where it is now. Where the block fails, it is moved back. Raises OSError.
        """
        target, files = self._target(path), leaves(path)
        ours = [file.relative_to(path) for file in files if _is_bytecode(file) or is_ours(file)]
        _log_all(path, target, sorted({file.relative_to(path) for file in files} - {*ours}))
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _move(path, target)
            yield target
        except BaseException:
            if os.path.lexists(target) and not os.path.lexists(path):
                _move(target, path)
            remove_empty(target.parent, self._replaced_dir)
            raise
        for name in ours:
            with suppress(OSError):  # what cannot be deleted is kept, too
                delete_leaf(target / name)
            remove_empty((target / name).parent, self._replaced_dir)

    def move_away(self, path: Path, is_ours: IsOurs = lambda path: False) -> Path:
        """Move a file or folder away for good; what of it is ours is deleted.

        Returns where it would be now, were nothing of it ours. Raises OSError.
        """
        with self.moved_away(path, is_ours) as target:
            return target

    def _target(self, path: Path) -> Path:
        """Choose a free path for what lies at `path`; outside of the store's parent the whole path is kept."""
        try:
            below = path.relative_to(self._store_dir.parent)
        except ValueError:
            below = Path(*path.absolute().parts[1:])
        target, number = self._folder / below, 2
        while os.path.lexists(target):
            target, number = target.with_name(f"{below.name}~{number}"), number + 1
        return target

    @property
    def _replaced_dir(self) -> Path:
        return replaced_dir(self._store_dir)

    @property
    def _folder(self) -> Path:
        require_no_link(self._replaced_dir)
        return _new_folder(self._replaced_dir)


@functools.cache
def _new_folder(replaced: Path) -> Path:
    """Make the folder of this process; another one of the same second has a folder of its own."""
    replaced.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    folder, number = replaced / name, 2
    while True:
        try:
            folder.mkdir()
        except FileExistsError:
            folder, number = folder.with_name(f"{name}-{number}"), number + 1
        else:
            return folder


def require_no_link(folder: Path) -> None:
    """Raise OSError for a symbolic link in the place of a folder of ours: what it points to is somebody else's."""
    if folder.is_symlink():
        raise OSError(ENOTDIR, f"is a symbolic link to {folder.readlink()}, not a folder", str(folder))


def replaced_files(store_dir: Path) -> list[Path]:
    """List what all commands have replaced; `removed-*` is where earlier releases moved it."""
    folders = [replaced_dir(store_dir), *sorted(store_dir.glob("removed-*"))]
    return [file for folder in folders if not folder.is_symlink() for file in leaves(folder)]


def replaced_dir(store_dir: Path) -> Path:
    """Where the replaced files of all commands lie."""
    return store_dir / "replaced"


def leaves(path: Path) -> list[Path]:
    """List the files, links and empty folders at or below a path; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        return [path] if os.path.lexists(path) else []
    found: list[Path] = []
    for parent, folders, files in os.walk(path):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        found += [Path(parent, name) for name in [*files, *links]]
        if not folders and not files:
            found.append(Path(parent))
    return sorted(found)


def _log_all(path: Path, target: Path, names: list[Path]) -> None:
    for name in names[:MAX_LISTED]:
        _log.warning("moving %s to %s", _described(path / name), displayed(str(target / name)))
    if names[MAX_LISTED:]:
        more = len(names) - MAX_LISTED
        _log.warning("moving %d more files of %s to %s", more, displayed(str(path)), displayed(str(target)))


def _is_bytecode(file: Path) -> bool:
    """Python writes it for a model.py, and again where it is missing."""
    return file.suffix == ".pyc" and file.parent.name == "__pycache__"


def _described(path: Path) -> str:
    return displayed(f"{path} (a symbolic link to {path.readlink()})" if path.is_symlink() else str(path))


def displayed(name: str) -> str:
    """Show a file's name, with escapes for what no terminal should get."""
    return name if name.isprintable() else ascii(name)


def delete_leaf(leaf: Path) -> None:
    """Delete a file, a link or an empty folder, also out of a read-only folder. Raises OSError."""
    delete = leaf.rmdir if leaf.is_dir() and not leaf.is_symlink() else leaf.unlink
    try:
        delete()
    except PermissionError:
        leaf.parent.chmod(leaf.parent.stat().st_mode | stat.S_IRWXU)
        delete()


def _move(source: Path, target: Path) -> None:
    import shutil

    try:
        source.rename(target)
    except OSError as exc:
        if exc.errno != EXDEV:
            raise
        shutil.move(source, target)


def remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder that has become empty, and those above it that have, up to and with `top`."""
    with suppress(OSError):
        while (folder == top or top in folder.parents) and not any(folder.iterdir()):
            delete_leaf(folder)
            folder = folder.parent
