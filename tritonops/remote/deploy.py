"""Bring one host to what this clone says.

survey       one round trip; a host that serves it all already is left alone
begin        is the host fit for it? make the folders
upload       the files git tracks, and with `push` the models
activate     on the host, in a process of its own: see activation.py
confirm      what the server answers is what the host says
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass

from tritonops.errors import ConnectionLostError, DeployError, HostUnreachableError, RolledBackError
from tritonops.remote.endpoint import require_closed, served_now, serves_recorded
from tritonops.remote.hold import host_locked
from tritonops.remote.host import Host
from tritonops.remote.inventory import HostSettings
from tritonops.remote.layout import Outcome
from tritonops.remote.push import pinned_files, push
from tritonops.remote.records import earlier_release
from tritonops.remote.release import begin, finish_script, models_of, upload
from tritonops.remote.source import Source, now_for_names, who
from tritonops.remote.survey import State, survey
from tritonops.settings import Settings

Report = Callable[[str], None]
_RECONNECTS = 3

# setsid and nohup: no lost connection takes it along. The outcome is the last line of the log.
_START = """
cd -- "$root/releases/$id"
mkdir -p runs
: >"runs/$run.log"
setsid nohup ./inv remote.activate "$id" --by "$by" --kind "$kind" $options >"runs/$run.log" 2>&1 </dev/null &
echo $! >"runs/$run.pid"
"""
_FOLLOW = """
cd -- "$root/releases/$id" 2>/dev/null && [ -s "runs/$run.pid" ] || exit $not_started
tail -s 0.05 -n +1 --pid="$(cat "runs/$run.pid")" -f "runs/$run.log"
"""
_NOT_STARTED = 44


@dataclass(frozen=True)
class Result:
    """What became of a host: what was done, the release that serves now, and the models that changed."""

    what: str
    release: str
    changed: tuple[str, ...] = ()
    seconds: float = 0.0
    by_hand: tuple[str, ...] = ()
    """The models in service that models.toml does not have."""
    pruned: tuple[str, ...] = ()
    """Those that were taken out of service, and moved to shared/triton-disabled."""


def deploy(
    host: Host,
    source: Source,
    here: HostSettings,
    settings: Settings,
    *,
    send_models: bool,
    prune_models: bool = False,
    report: Report,
) -> Result:
    """Bring a host to what the clone says; where that fails it serves what it served before.

    Raises HostUnreachableError, HostLockedError, DeployError (nothing that serves was touched), RolledBackError (it
    was, and was rolled back), and ConnectionLostError, after which the host has finished or rolled back by itself.
    """
    state = survey(host, settings.remote_dir)
    if serves_already(host, state, source.fingerprint(here)) and not (prune_models and state.by_hand):
        assert state.facts
        require_closed(host, state, grpc=False)
        _warn(state.by_hand, report)
        return Result("nothing to do", state.facts.id, by_hand=state.by_hand)
    require_free(host, state)
    facts = source.facts(here)
    files = pinned_files(source, settings.store_dir, here) if send_models else []
    report("check the host")
    begin(host, state, facts, here)
    report(f"upload {facts.id}")
    upload(host, source, state, facts)
    if files:
        report("push models")
        push(host, settings.store_dir, state, files)
    finish = finish_script(state, facts, models_toml=models_of(here, source.models_toml))
    options = "--prune-models" if prune_models else ""
    outcome = activate(host, state, facts.id, kind="deploy", options=options, report=report, before=finish)
    return _confirmed(host, state, facts.id, outcome, "deployed", report)


def _warn(by_hand: Collection[str], report: Report) -> None:
    if by_hand:
        report(f"warning: not in models.toml: {', '.join(by_hand)}; kept in service, --prune takes them out of it")


def serves_already(host: Host, state: State, fingerprint: str) -> bool:
    """Whether the host has this very release, nobody changed its disk or its env file, and its Triton serves it."""
    return (
        state.facts is not None
        and state.outcome is not None
        and state.interrupted is None
        and state.facts.fingerprint == fingerprint
        and (state.outcome.disk, state.outcome.env) == (state.disk, state.env)
        and serves_recorded(host, state)
    )


def require_free(host: Host, state: State) -> None:
    """Raise HostLockedError where somebody is at work on the host; activation itself asks again, and then holds it."""
    if state.holder:
        raise host_locked(host.name, state.holder)


def rollback(host: Host, directory: str, *, to: str | None, report: Report) -> Result:
    """Serve an earlier release again, from the host's own disk; the one before the current where none is named."""
    state = survey(host, directory)
    require_free(host, state)
    name = earlier_release(host, state, to)
    outcome = activate(host, state, name, kind="rollback", report=report)
    return _confirmed(host, state, name, outcome, "rolled back", report)


def activate(
    host: Host, state: State, name: str, *, kind: str, options: str = "", report: Report, before: str = ""
) -> Outcome:
    """Start the activation of a release on the host and follow it; after a cut, log in again and follow on."""
    words = {"root": state.root, "id": name, "by": who(), "kind": kind, "options": options, "run": now_for_names()}
    variables = "".join(f"{key}={shlex.quote(value)}\n" for key, value in words.items())
    follow = f"{variables}not_started={_NOT_STARTED}\n{_FOLLOW}"
    lines = _Lines(report)
    try:
        host.run(f"{before}{variables}{_START}{follow}", on_line=lines)
    except ConnectionLostError:
        _follow_again(host, follow, lines)
    if lines.outcome is None:
        last = "\n".join(f"  {line}" for line in lines.seen[-15:])
        raise DeployError(f"{host.name}: the activation of {name} ended without an outcome\n{last}")
    return lines.outcome


class _Lines:
    """The lines of an activation's log: reported once, the last of them is the outcome."""

    def __init__(self, report: Report) -> None:
        self.report, self.outcome = report, None  # type: Report, Outcome | None
        self.seen: list[str] = []
        self.repeated = 0

    def __call__(self, line: str) -> None:
        if self.repeated:
            self.repeated -= 1
            return
        self.seen.append(line)
        if line.startswith("outcome\t"):
            self.outcome = Outcome.parse(line.partition("\t")[2])
        else:
            self.report(line)

    def again(self) -> None:
        """The log comes from its beginning once more."""
        self.repeated = len(self.seen)


def _follow_again(host: Host, follow: str, lines: _Lines) -> None:
    for attempt in range(1, _RECONNECTS + 1):
        lines.report(f"the connection was lost; the host goes on by itself. Logging in again ({attempt})")
        host.close()
        lines.again()
        try:
            if host.run(follow, on_line=lines, check=False).code != _NOT_STARTED:
                return
        except (ConnectionLostError, HostUnreachableError):
            continue
        raise ConnectionLostError(f"{host.name}: the connection was lost before the host began; nothing was changed")
    raise ConnectionLostError(
        f"{host.name}: the connection was lost while the host was switching; it finishes, or rolls back",
        hint=f"inv remote.status --host {host.name}",
    )


def _confirmed(host: Host, state: State, name: str, outcome: Outcome, what: str, report: Report) -> Result:
    """Look from here at what the server answers, whatever the host said."""
    if outcome.result != "done":
        raise (RolledBackError if outcome.result == "rolled back" else DeployError)(f"{host.name}: {outcome.message}")
    state = survey(host, state.root)
    served = served_now(host, state)
    if served != tuple(sorted(outcome.served)):
        raise DeployError(f"{host.name}: {name} is active, but its Triton serves {served}, not {outcome.served}")
    require_closed(host, state)
    _warn(outcome.by_hand, report)
    return Result(what, name, outcome.changed, outcome.seconds, outcome.by_hand, outcome.pruned)
