"""The deploy lock of a host: one process at a time changes it, and a second one is told its owner.

An flock, released when its process exits; the file only names the owner. A person may also lock a host until it is
unlocked.
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
    """Who locked a host, since when, and why."""

    who: str
    since: str
    """ISO 8601, UTC."""
    what: str
    pid: int | None = None
    """The process on the host; None where a person locked it."""

    def __str__(self) -> str:
        return f"{self.who}, since {self.since}: {self.what}"


@contextmanager
def deploy_lock(path: Path, owner: LockOwner) -> Iterator[None]:
    """Lock the host for the block. Raises HostLockedError, naming the owner."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(descriptor, path)
        _write(descriptor, json.dumps(asdict(owner)) + "\n")
        try:
            yield
        finally:
            _write(descriptor, "")
    finally:
        os.close(descriptor)


def parse_lock_owner(text: str) -> LockOwner | None:
    """Read the lock file; None where it is empty."""
    try:
        return parse_record(LockOwner, text) if text.strip() else None
    except ValueError:
        return LockOwner("somebody", "an unknown time", "the lock file cannot be read", None)


def host_locked_error(host: str, owner: LockOwner) -> HostLockedError:
    """Word the refusal."""
    unlock = f"inv remote.lock --host {host} --release unlocks it."
    deploy = f"It ends by itself. `inv remote.logs --host {host} --deploy` shows its progress; {unlock}"
    return HostLockedError(f"{host} is locked by {owner}", hint=unlock if owner.pid is None else deploy)


def _lock(descriptor: int, path: Path) -> None:
    owner = parse_lock_owner(os.pread(descriptor, 4096, 0).decode(errors="replace"))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise host_locked_error(os.uname().nodename, owner or LockOwner("somebody", "just now", str(path), 0)) from exc
    except OSError as exc:
        hint = "TRITON_REMOTE_DIR needs a filesystem with file locks."
        raise LockingError(path, exc, hint=hint) from exc
    # The flock was free, so an owner with a process has died: only a person still counts.
    if owner and owner.pid is None:
        raise host_locked_error(os.uname().nodename, owner)


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
