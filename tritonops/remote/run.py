"""Run a task of the current release on a host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from tritonops.errors import CommandError, InputError
from tritonops.remote.client.host_state import HostState, inspect_host
from tritonops.remote.layout.records import ReleaseRecord
from tritonops.remote.layout.scripts import script
from tritonops.remote.ssh.exchange import Sink
from tritonops.remote.ssh.host import Host


def run_task(host: Host, stdout: Sink, stderr: Sink, *, words: Sequence[str], stdin: BinaryIO | None = None) -> None:
    """Run a task with the host's own settings. Raises CommandError with its exit code."""
    if not words:
        raise InputError("no task was given", hint="inv remote.run --host gpu-01 -- triton.list")
    state = inspect_host(host)
    require_release(host, state)
    run_release_task(host, state, words, stdout, stderr, stdin=stdin)


def run_release_task(
    host: Host, state: HostState, words: Sequence[str], stdout: Sink, stderr: Sink, *, stdin: BinaryIO | None = None
) -> None:
    """Run a task of the current release. Raises CommandError with its exit code."""
    program = script("run_task", root=state.root, arguments=words)
    if code := host.stream(program, stdout=stdout, stderr=stderr, stdin=stdin):
        raise CommandError(host.name, code, "")


def require_release(host: Host, state: HostState) -> ReleaseRecord:
    """Give the current release. Raises InputError where there is none, or its folder is missing."""
    if state.release is None and state.current:
        problem = f"{host.name}: the folder of the current release {state.current} is missing"
        raise InputError(problem, hint=f"To rebuild it: inv remote.deploy --host {host.name}")
    if state.release is None:
        raise InputError(f"{host.name} has no release yet", hint=f"inv remote.deploy --host {host.name}")
    return state.release
