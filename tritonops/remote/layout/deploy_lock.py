"""The lock of a host: one process at a time changes it, and whoever comes second is told who that is.

The lock is the kernel's and ends with the process, however it ends; the file only says who holds it. A person may
also hold it by hand, until it is released.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tritonops.documents import parse_record
from tritonops.errors import HostLockedError, LockingError


@dataclass(frozen=True)
class LockOwner:
    """Who holds a host, since when, and what for."""

    who: str
    since: str
    what: str
    pid: int | None = None
    """The process on the host; None where a person holds it by hand."""

    def __str__(self) -> str:
        return f"{self.who}, since {self.since}: {self.what}"


@contextmanager
def deploy_lock(path: Path, owner: LockOwner) -> Iterator[None]:
    """Be the only one who changes the host. Raises HostLockedError, naming who does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(descriptor, path)
        _write(descriptor, json.dumps(asdict(owner)) + "\n")
        try:
            yield
        finally:
            _write(descriptor, "")
    finally:
        os.close(descriptor)


def parse_lock_owner(text: str) -> LockOwner | None:
    """Read what the lock's file says; None where it says nothing."""
    try:
        return parse_record(LockOwner, text) if text.strip() else None
    except ValueError:
        return LockOwner("somebody", "an unknown time", "the lock file cannot be read", None)


def host_locked_error(host: str, owner: LockOwner) -> HostLockedError:
    """Word the refusal."""
    by_hand = f"inv remote.lock --host {host} --release unlocks it."
    working = f"It ends by itself. `inv remote.logs --host {host} --deploy` shows what it does; {by_hand}"
    return HostLockedError(f"{host} is locked by {owner}", hint=by_hand if owner.pid is None else working)


def _take(descriptor: int, path: Path) -> None:
    owner = parse_lock_owner(os.pread(descriptor, 4096, 0).decode(errors="replace"))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise host_locked_error(os.uname().nodename, owner or LockOwner("somebody", "just now", str(path), 0)) from exc
    except OSError as exc:
        hint = "TRITON_REMOTE_DIR needs a filesystem with file locks."
        raise LockingError(path, exc, hint=hint) from exc
    # Nobody has the lock: an owner with a process has died, and only one by hand counts.
    if owner and owner.pid is None:
        raise host_locked_error(os.uname().nodename, owner)


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
