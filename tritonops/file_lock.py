"""Exclusive locks between processes, which name their owner and its work."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tritonops.errors import LockingError

OnWait = Callable[[str], None]
"""Called once with the lock's owner, "process 7 on gpu-01, downloading", before a wait."""

_NO_FLOCK = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
_NO_SYMLINK = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
_POLL = 0.1


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot, from /proc: it tells a process from a later one with its id.

    None when there is no such process, or it has ended and waits to be collected.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name, in parentheses, may contain anything; the state follows it. The first thread of a process
    # may have ended while others are still closing its ports.
    state, *fields = stat.rpartition(")")[2].split()
    threads, started = int(fields[16]), int(fields[18])
    return None if state in "ZX" and threads <= 1 else started


@contextmanager
def locked(path: Path, *, work: str = "", on_wait: OnWait | None = None) -> Iterator[None]:
    """Let one process, and one thread of it, run the block at a time; the others wait.

    `path` is the lock's file; while it is locked, it names the owner and its `work` ("downloading"). The lock is an
    flock, released when its process exits. Where the filesystem has none, a symbolic link next to `path` takes its
    place: the link of a process that died on this machine is removed, one of another machine is waited for. Raises
    LockingError where neither works, and OSError where `path` cannot be opened.
    """
    unlock = _lock(path, work, on_wait or (lambda owner: None))
    try:
        yield
    finally:
        unlock()


def _lock(path: Path, work: str, on_wait: OnWait) -> Callable[[], None]:
    descriptor = _open(path)
    try:
        try:
            _flock(descriptor, on_wait)
        except OSError as exc:
            if exc.errno not in _NO_FLOCK:
                raise
            os.close(descriptor)
            return _lock_by_link(path, on_wait, exc)
        if not _is_still(descriptor, path):  # its folder was removed, and the lock with it
            os.close(descriptor)
            return _lock(path, work, on_wait)
    except BaseException:
        with suppress(OSError):
            os.close(descriptor)
        raise
    name = _name(os.getpid(), os.uname().nodename)
    _write_owner(descriptor, f"{name}, {work}" if work else name)
    return lambda: _unlock(descriptor)


def _open(path: Path) -> int:
    """Open the file of a lock: as writable as its folder is, so that users who share the folder share the lock.

    No symbolic link is followed, as the file is written to.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        with suppress(FileExistsError):
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
            with suppress(PermissionError):
                os.fchmod(descriptor, 0o600 | (path.parent.stat().st_mode & 0o066))
            return descriptor
        return os.open(path, flags)


def _flock(descriptor: int, on_wait: OnWait) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        on_wait(_read_owner(descriptor))
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _read_owner(descriptor: int) -> str:
    with suppress(OSError):
        if text := os.pread(descriptor, 200, 0).decode(errors="replace").strip():
            return text if text.isprintable() else ascii(text)
    return "another process"


def _write_owner(descriptor: int, text: str) -> None:
    """The name is a courtesy to those who wait: a full disk does not keep anybody from working."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _unlock(descriptor: int) -> None:
    _write_owner(descriptor, "")
    os.close(descriptor)


def _name(pid: int, host: str) -> str:
    return f"process {pid} on {host}"


class _Owner(NamedTuple):
    """A process of some machine, as the target of a lock's link names it."""

    pid: int
    started: int
    namespace: str
    """Of process ids: a container counts its own, and may share the machine's name."""
    host: str

    def __str__(self) -> str:
        return _name(self.pid, self.host)

    @property
    def target(self) -> str:
        return " ".join(map(str, self))

    def is_gone(self) -> bool:
        """Whether the process certainly has ended; one of another machine may run still."""
        here = _this_process()
        return (self.namespace, self.host) == (here.namespace, here.host) and start_time(self.pid) != self.started


def _this_process() -> _Owner:
    pid = os.getpid()
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = "-"
    return _Owner(pid, start_time(pid) or 0, namespace, os.uname().nodename)


def _lock_by_link(path: Path, on_wait: OnWait, reason: OSError) -> Callable[[], None]:
    link = path.with_name(f"{path.name}.owner")
    try:
        _wait_for_link(link, on_wait)
    except OSError as exc:
        if exc.errno in _NO_SYMLINK:
            raise LockingError(path, reason) from exc
        raise
    return lambda: link.unlink(missing_ok=True)


def _wait_for_link(link: Path, on_wait: OnWait) -> None:
    """A symbolic link is made in one step, with its owner's name for a target, on every filesystem that has links."""
    told = False
    while not _made(link):
        target = _target(link)
        owner = _parse_owner(target)
        if owner and owner.is_gone():
            _remove_left_behind(link, target)
            continue
        if target and not told:
            on_wait(f"{owner or 'another process'}; if it has ended, remove {link}")
            told = True
        time.sleep(_POLL)


def _made(link: Path) -> bool:
    try:
        link.symlink_to(_this_process().target)
    except FileExistsError:
        return False
    return True


def _target(link: Path) -> str | None:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return None


def _parse_owner(target: str | None) -> _Owner | None:
    pid, _, rest = (target or "").partition(" ")
    started, _, rest = rest.partition(" ")
    namespace, _, host = rest.partition(" ")
    return _Owner(int(pid), int(started), namespace, host) if pid.isdecimal() and started.isdecimal() else None


def _remove_left_behind(link: Path, target: str | None) -> None:
    """Two that find the same dead owner must not remove each other's new link: one of them does it."""
    takeover = link.with_name(f"{link.name}.takeover")
    if _made(takeover):
        try:
            if _target(link) == target:
                link.unlink()
        finally:
            takeover.unlink(missing_ok=True)
        return
    time.sleep(_POLL)
    other = _parse_owner(_target(takeover))
    if other and other.is_gone():
        raise LockingError(takeover, OSError(errno.EEXIST, f"left behind by {other}"), hint=f"rm {takeover}")
