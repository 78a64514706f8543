"""Run the tasks of the release that serves, on the host itself."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from tritonops.errors import CommandError, InputError
from tritonops.remote.client.host_state import HostState, inspect_host
from tritonops.remote.layout.records import ReleaseRecord
from tritonops.remote.ssh.host import Host

OnLine = Callable[[str], None]
# The task ends with the connection: $PPID is the sshd of this session.
_RUN = """
"$root/current/inv" {words} &
task=$!
{{ tail --pid="$PPID" -f /dev/null; kill "$task"; }} >/dev/null 2>&1 &
wait "$task"
"""


def run_task(host: Host, directory: str, words: Sequence[str], *, show: OnLine, on_error_line: OnLine) -> None:
    """Run a task of the current release, with the host's own settings. Raises CommandError with its exit code."""
    if not words:
        raise InputError("run what?", hint="inv remote.run --host gpu-01 -- triton.list")
    state = inspect_host(host, directory)
    require_release(host, state)
    run_release_task(host, state, words, show=show, on_error_line=on_error_line)


def run_release_task(
    host: Host, state: HostState, words: Sequence[str], *, show: OnLine, on_error_line: OnLine
) -> None:
    """Run a task of the release that serves. Raises CommandError with its exit code."""
    script = f"root={shlex.quote(state.root)}\n{_RUN.format(words=shlex.join(words))}"
    output = host.run(script, on_line=show, on_error_line=on_error_line, check=False)
    if output.code:
        raise CommandError(host.name, output.code, "")


def require_release(host: Host, state: HostState) -> ReleaseRecord:
    """Give the release that serves. Raises InputError where there is none, or its folder is gone."""
    if state.release is None and state.current:
        problem = f"{host.name}: the folder of {state.current}, which serves, is gone"
        raise InputError(problem, hint=f"inv remote.deploy --host {host.name} makes it again.")
    if state.release is None:
        raise InputError(f"{host.name} has no release yet", hint=f"inv remote.deploy --host {host.name}")
    return state.release
