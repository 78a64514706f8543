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
class Holder:
    """Who holds a host, since when, and what for."""

    who: str
    since: str
    what: str
    pid: int | None = None
    """The process on the host; None where a person holds it by hand."""

    def __str__(self) -> str:
        return f"{self.who}, since {self.since}: {self.what}"


@contextmanager
def hold(path: Path, holder: Holder) -> Iterator[None]:
    """Be the only one who changes the host. Raises HostLockedError, naming who does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(descriptor, path)
        _write(descriptor, json.dumps(asdict(holder)) + "\n")
        try:
            yield
        finally:
            _write(descriptor, "")
    finally:
        os.close(descriptor)


def parse_holder(text: str) -> Holder | None:
    """Read what the lock's file says; None where it says nothing."""
    try:
        return parse_record(Holder, text) if text.strip() else None
    except ValueError:
        return Holder("somebody", "an unknown time", "the lock file cannot be read", None)


def host_locked(host: str, holder: Holder) -> HostLockedError:
    """Word the refusal."""
    by_hand = f"inv remote.lock --host {host} --release unlocks it."
    working = f"It ends by itself. `inv remote.logs --host {host} --deploy` shows what it does; {by_hand}"
    return HostLockedError(f"{host} is locked by {holder}", hint=by_hand if holder.pid is None else working)


def _take(descriptor: int, path: Path) -> None:
    said = parse_holder(os.pread(descriptor, 4096, 0).decode(errors="replace"))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise host_locked(os.uname().nodename, said or Holder("somebody", "just now", str(path), 0)) from exc
    except OSError as exc:
        hint = "TRITON_REMOTE_DIR needs a filesystem with file locks."
        raise LockingError(path, exc, hint=hint) from exc
    # Nobody has the lock: a holder with a process has died, and only one by hand counts.
    if said and said.pid is None:
        raise host_locked(os.uname().nodename, said)


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
