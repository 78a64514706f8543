"""A background process that outlives its parent: started, and found again."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonops.file_lock import start_time


@dataclass(frozen=True)
class Process:
    """A process id with its start time (in clock ticks since boot), since ids are reused."""

    pid: int
    started: int

    def is_alive(self) -> bool:
        """Whether it is running; a zombie is not."""
        alive = start_time(self.pid) == self.started
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return alive


def this_process() -> Process:
    """Describe the current process."""
    return Process(os.getpid(), start_time(os.getpid()) or 0)


def spawn(command: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path) -> Process:
    """Start a command in `folder`, with its output in `log`, in its own session, out of reach of Ctrl-C."""
    pid = os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", 'cd "$0" && exec "$@"', str(folder), *command],
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),  # the parent may ignore them meanwhile
    )
    return Process(pid, start_time(pid) or 0)
