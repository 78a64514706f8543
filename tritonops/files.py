"""Files that outlive a crash: written whole or not at all, linked or copied.

Reading is bounded: only regular files, up to a size, as UTF-8.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import re
import select
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from tritonops import process_environment
from tritonops.errors import TritonOpsError, UnreadableFileError

_NO_FSYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
PIPE_TIMEOUT = 10.0
"""Seconds that a file named by a person may be silent where it is a pipe: `--input <(make-inputs)`."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def write_text(
    path: Path,
    text: str,
    *,
    staging: Path | None = None,
    sync: bool = True,
    only_writer: bool = False,
    before_rename: Callable[[], None] = lambda: None,
) -> None:
    """Write a file by one rename. Raises OSError; then the file is as it was.

    An existing file keeps its mode and owner. The new content is prepared in `staging`, a folder of the same
    filesystem; without one, in the file's folder, and a symbolic link is followed to its file. `sync` makes the content
    survive a power cut. An `only_writer`, one that has locked the file, deletes what killed writers left.
    `before_rename` may raise to keep the existing file.
    """
    target = path if staging else Path(os.path.realpath(path))
    folder, prefix = staging or target.parent, f".{target.name[:40]}."
    if only_writer:
        _delete_unfinished(folder, prefix)
    partial = folder / f"{prefix}{os.getpid()}-{os.urandom(4).hex()}.partial"
    try:
        with partial.open("x", encoding="utf-8", newline="") as file:
            _keep_mode(target, file.fileno())
            file.write(text)
            file.flush()
            if sync:
                _fsync(file.fileno())
        before_rename()
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _delete_unfinished(folder: Path, prefix: str) -> None:
    with suppress(OSError):
        for path in folder.iterdir():
            if re.fullmatch(re.escape(prefix) + r"[0-9]+-[0-9a-f]{8}\.partial", path.name):
                path.unlink()


def write_json(
    path: Path, value: object, *, indent: int | None = None, sync: bool = True, only_writer: bool = False
) -> None:
    """Write a JSON document by one rename. Raises OSError."""
    write_text(path, json.dumps(value, indent=indent) + "\n", sync=sync, only_writer=only_writer)


def replace_text(path: Path, text: str) -> None:
    """Write a file that people edit too, and its folder where there is none. Raises TritonOpsError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as exc:
        raise TritonOpsError(f"cannot write {path}: {exc.strerror}") from exc


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; never waits for a pipe. Raises UnreadableFileError, also for anything else."""
    try:
        _refuse_others(path, path.stat())
        file = open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY), "rb")  # noqa: SIM115
    except FileNotFoundError as exc:
        raise _missing(path) from exc
    except (OSError, ValueError) as exc:  # ValueError: a path with a NUL
        raise _unreadable(path, exc) from exc
    try:
        _refuse_others(path, os.fstat(file.fileno()))  # another file may have taken its place
    except BaseException:
        file.close()
        raise
    return file


def read_bytes(path: Path, limit: int, *, pipe_timeout: float | None = None) -> bytes:
    """Read a regular file of at most `limit` bytes. Raises UnreadableFileError.

    With `pipe_timeout` a pipe will do too, as long as its bytes come within that many seconds of each other.
    """
    if pipe_timeout is not None and path.is_fifo():
        return _read_pipe(path, limit, pipe_timeout)
    with open_regular(path) as file:
        try:
            expected = os.fstat(file.fileno()).st_size
            if expected <= limit:
                data = file.read(max(expected, 1 << 16) + 1)  # files in /proc have no size
                if len(data) <= max(expected, 1 << 16) and len(data) <= limit:
                    return data
        except OSError as exc:
            raise _unreadable(path, exc) from exc
    raise _too_large(path, limit)


def read_text(path: Path, limit: int, *, pipe_timeout: float | None = None) -> str:
    """Read a UTF-8 file as it is, line ends and byte order mark included. Raises UnreadableFileError."""
    data = read_bytes(path, limit, pipe_timeout=pipe_timeout)
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        problem = "is UTF-16: save it as UTF-8" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "is not UTF-8"
        raise UnreadableFileError(path, problem, line=data.count(b"\n", 0, exc.start) + 1) from exc


def read_text_if_present(path: Path, limit: int) -> str | None:
    """Read a UTF-8 file; None where there is nothing at `path`. A link to nothing is an error."""
    try:
        return read_text(path, limit)
    except UnreadableFileError as exc:
        if exc.missing and not path.is_symlink():
            return None
        raise


def expand_home(path: str) -> str:
    """Replace a leading `~` or `~user`. Raises ValueError where that names no folder."""
    user, _, rest = path.partition("/")
    if not user.startswith("~"):
        return path
    return f"{_home_of(user[1:])}/{rest}" if rest else _home_of(user[1:])


def make_readable(path: Path) -> None:
    """Let every user read a file, or a folder with all that is in it, whatever the umask was; follow no links.

    A container reads the models as a user of its own. What belongs to somebody else is left as it is.
    """
    if path.is_symlink():
        return
    below = [f"{parent}/{name}" for parent, folders, files in os.walk(path) for name in [*folders, *files]]
    for found in [str(path), *below]:
        mode = os.lstat(found).st_mode
        readable = mode | (0o555 if stat.S_ISDIR(mode) else 0o444)
        if readable != mode and (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            with suppress(PermissionError):
                Path(found).chmod(stat.S_IMODE(readable))


def _home_of(user: str) -> str:
    if user:
        try:
            return pwd.getpwnam(user).pw_dir
        except (KeyError, ValueError) as exc:  # ValueError: a NUL
            raise ValueError(f"names a user that this machine does not have: {user!r}") from exc
    return str(process_environment.home())


def _read_pipe(path: Path, limit: int, timeout: float) -> bytes:
    """Read until every writer has closed it; a pipe that nobody writes to would be waited for for ever."""
    data = bytearray()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            while len(data) <= limit:
                if not poller.poll(timeout * 1000):
                    raise UnreadableFileError(path, f"is a pipe into which nothing was written for {timeout:g} seconds")
                if not (piece := os.read(descriptor, 1 << 16)):
                    return bytes(data)
                data += piece
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    raise _too_large(path, limit)


def _too_large(path: Path, limit: int) -> UnreadableFileError:
    return UnreadableFileError(path, f"too large: the limit is {limit:,} bytes")


def _refuse_others(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableFileError(path, f"is {_KINDS.get(stat.S_IFMT(found.st_mode), 'not a file')}, not a file")


def _missing(path: Path) -> UnreadableFileError:
    problem = f"is a link to {path.readlink()}, which does not exist" if path.is_symlink() else "no such file"
    return UnreadableFileError(path, problem, missing=True)


def _unreadable(path: Path, exc: Exception) -> UnreadableFileError:
    reason = exc.strerror if isinstance(exc, OSError) else None
    return UnreadableFileError(path, f"cannot be read: {reason or exc}")


def _keep_mode(target: Path, descriptor: int) -> None:
    """Give the new file the old one's mode and, as far as this user may, its group and owner."""
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    new = os.fstat(descriptor)
    for uid, gid in ((-1, old.st_gid), (old.st_uid, -1)):
        if uid not in (-1, new.st_uid) or gid not in (-1, new.st_gid):
            with suppress(PermissionError):
                os.fchown(descriptor, uid, gid)
    with suppress(PermissionError):  # a filesystem without modes
        os.fchmod(descriptor, old.st_mode & 0o777)


def _fsync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in _NO_FSYNC:
            raise


def subdirectories(folder: Path) -> tuple[str, ...]:
    """List the names of the directories in a folder, sorted; none where it does not exist."""
    try:
        with os.scandir(folder) as entries:
            return tuple(sorted(entry.name for entry in entries if _is_directory(entry)))
    except FileNotFoundError:
        return ()


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """Whether it is a directory, or a link to one; a link to itself leads to none."""
    try:
        return entry.is_dir()
    except OSError as exc:
        if exc.errno != errno.ELOOP:
            raise
        return False
