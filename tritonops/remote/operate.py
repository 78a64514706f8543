"""Run the tasks of the release that serves, on the host itself."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence

from tritonops.errors import CommandError, InputError
from tritonops.remote.deploy import require_free
from tritonops.remote.hold import Holder
from tritonops.remote.host import Host
from tritonops.remote.layout import Facts
from tritonops.remote.runtime import LOGS, RESTART
from tritonops.remote.source import who
from tritonops.remote.survey import State, survey

Show = Callable[[str], None]

# The task ends with the connection: $PPID is the sshd of this session.
_RUN = """
"$root/current/inv" {words} &
task=$!
{{ tail --pid="$PPID" -f /dev/null; kill "$task"; }} >/dev/null 2>&1 &
wait "$task"
"""

_HOLD = """
set -e
mkdir -p -- "$root"
printf '{"since": "%s", %s\\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$rest" >"$root/lock"
"""


def run_task(host: Host, directory: str, words: Sequence[str], *, show: Show, show_error: Show) -> None:
    """Run a task of the current release, with the host's own settings. Raises CommandError with its exit code."""
    if not words:
        raise InputError("run what?", hint="inv remote.run --host gpu-01 -- triton.list")
    state = survey(host, directory)
    _released(host, state)
    _run(host, state, words, show=show, show_error=show_error)


def show_logs(host: Host, directory: str, *, lines: int, follow: bool, show: Show, show_error: Show) -> None:
    """Show the end of the server's log, and go on with what it writes where `follow` holds."""
    state = survey(host, directory)
    facts = _released(host, state)
    words = [*LOGS[facts.runtime], str(lines), *facts.files, *(["--follow"] if follow else [])]
    _run(host, state, words, show=show, show_error=show_error)


def show_activation_log(host: Host, directory: str, *, show: Show) -> None:
    """Show what the newest deploy or rollback wrote on the host."""
    root = shlex.quote(survey(host, directory).root)
    newest = 'cat -- "$(ls -t releases/*/runs/*.log | head -1)" /dev/null'
    host.run(f"cd {root} 2>/dev/null && {newest} | grep -v '^outcome'", on_line=show, check=False)


def restart(host: Host, directory: str, *, show: Show, show_error: Show) -> None:
    """Restart the server; the models on disk are loaded anew."""
    state = survey(host, directory)
    facts = _released(host, state)
    require_free(host, state)
    if state.interrupted:
        problem = f"{host.name}: a switch to {state.interrupted} was interrupted, and half of it would be served"
        raise InputError(problem, hint="inv remote.deploy, or inv remote.rollback, puts that right.")
    _run(host, state, [RESTART[facts.runtime], *facts.files], show=show, show_error=show_error)


def hold_by_hand(host: Host, directory: str, *, why: str) -> None:
    """Lock the host against deploys until it is unlocked. Raises HostLockedError where somebody else locked it."""
    state = survey(host, directory)
    require_free(host, state)
    rest = json.dumps({"who": who(), "what": why, "pid": None}).removeprefix("{")
    host.run(f"root={shlex.quote(state.root)} rest={shlex.quote(rest)}\n{_HOLD}")


def release_hold(host: Host, directory: str) -> Holder | None:
    """Unlock a host, and return who had locked it. A deploy at work is interrupted, and rolled back."""
    state = survey(host, directory)
    if state.holder is None:
        return None
    root = shlex.quote(state.root)
    # A deploy that ended meanwhile has released it.
    host.run(f"kill {state.holder.pid} 2>/dev/null || true" if state.holder.pid else f": >{root}/lock")
    return state.holder


def _run(host: Host, state: State, words: Sequence[str], *, show: Show, show_error: Show) -> None:
    script = f"root={shlex.quote(state.root)}\n{_RUN.format(words=shlex.join(words))}"
    output = host.run(script, on_line=show, on_error_line=show_error, check=False)
    if output.code:
        raise CommandError(host.name, output.code, "")


def _released(host: Host, state: State) -> Facts:
    if state.facts is None and state.current:
        problem = f"{host.name}: the folder of {state.current}, which serves, is gone"
        raise InputError(problem, hint=f"inv remote.deploy --host {host.name} makes it again.")
    if state.facts is None:
        raise InputError(f"{host.name} has no release yet", hint=f"inv remote.deploy --host {host.name}")
    return state.facts
