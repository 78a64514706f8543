"""Stop a background process with all its children, in time or by force."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tritonops.errors import TritonOpsError
from tritonops.process_environment import user_name
from tritonops.server.process import Process

STOP_TIMEOUT = 40.0
"""Seconds; Triton gives in-flight requests 30."""
_POLL = 0.05


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
