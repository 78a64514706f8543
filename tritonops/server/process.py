"""A background process that outlives its parent: started, found again, stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import TritonOpsError
from tritonops.file_lock import start_time
from tritonops.process_environment import user_name

_POLL = 0.05


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


def stop(process: Process, *, timeout: float, is_over: Callable[[], bool] = lambda: False) -> bool:
    """Terminate the process, and kill it with all its children after `timeout` seconds.

    As soon as `is_over`, it is killed at once. Returns whether it ended, or was over, in time.
    """
    _signal(process, signal.SIGTERM)
    has_ended = _wait_until_ended(process, timeout, is_over)
    kill(process)
    return has_ended


def kill(process: Process) -> None:
    """Kill the process and its children at once."""
    _signal(process, signal.SIGKILL)
    _wait_until_ended(process, 10)


def kill_stubs(marker: str) -> None:
    """Kill the processes of models of an ended server, which have its `marker` in their command lines."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = folder.joinpath("cmdline").read_bytes()
            if marker.encode() in command and b"triton_python_backend_stub" in command:
                os.kill(int(folder.name), signal.SIGKILL)


def _signal(process: Process, number: signal.Signals) -> None:
    """Signal the process, or kill its whole group: each instance of a model is a process of its own."""
    if process.is_alive():
        try:
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                os.kill(process.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError as exc:
            owner = user_name(Path(f"/proc/{process.pid}").stat().st_uid)
            hint = f"Ask its owner, or run the command as {owner}."
            raise TritonOpsError(f"cannot stop process {process.pid}: it belongs to {owner}", hint=hint) from exc


def _wait_until_ended(process: Process, timeout: float, is_over: Callable[[], bool] = lambda: False) -> bool:
    deadline = time.monotonic() + timeout
    while process.is_alive():
        if time.monotonic() > deadline:
            return False
        if is_over():
            return True
        time.sleep(_POLL)
    return True
