"""A background process that outlives its starter, known by a file: started, found again, stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonops.processes import start_time

_POLL = 0.05


@dataclass(frozen=True)
class Process:
    """A process, told apart from a later one with the same id by when it started (in clock ticks since boot)."""

    pid: int
    started: int

    def is_alive(self) -> bool:
        """Whether it still runs; one that ended and was not yet waited for does not."""
        alive = start_time(self.pid) == self.started
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return alive


def spawn(command: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path) -> Process:
    """Start a command in `folder`, with its output in `log`, and a session of its own, so that no Ctrl-C reaches it."""
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
    )
    return Process(pid, start_time(pid) or 0)


def stop(process: Process, *, timeout: float) -> bool:
    """Ask the process to end, and end it with all its children when it has not after `timeout` seconds.

    Returns whether it ended by itself.
    """
    _signal(process, signal.SIGTERM)
    if _wait_until_ended(process, timeout):
        return True
    kill(process)
    return False


def kill(process: Process) -> None:
    """End the process and its children at once."""
    _signal(process, signal.SIGKILL)
    _wait_until_ended(process, 10)


def _signal(process: Process, number: signal.Signals) -> None:
    """The whole group: each instance of a model is a process of its own."""
    if process.is_alive():
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                os.kill(process.pid, number)


def _wait_until_ended(process: Process, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while process.is_alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True
