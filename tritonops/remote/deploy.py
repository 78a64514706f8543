"""Bring one host to what this clone says.

survey       one round trip; a host that serves it all already is left alone
begin        is the host fit for it? number the release, make its folders, ask which large files it lacks
upload       large files by their digests, all others as one tar, compared there with the manifest
activate     on the host, in a process of its own: see activation.py
prove        read back that the host serves what was sent: see client/proof.py
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tritonops.errors import (
    ConnectionLostError,
    DeployError,
    HostLockedError,
    HostUnreachableError,
    NotRolledBackError,
    ResultUnknownError,
    RolledBackError,
    TritonOpsError,
)
from tritonops.remote.endpoint import require_closed, serves_recorded
from tritonops.remote.hold import host_locked
from tritonops.remote.host import Host
from tritonops.remote.inventory import HostSettings
from tritonops.remote.layout import Facts, Outcome, Report
from tritonops.remote.source import Source, who
from tritonops.remote.survey import State, survey
from tritonops.settings import Settings

_T = TypeVar("_T")
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each login after a connection was lost."""

# setsid and nohup: no lost connection takes it along. The outcome is the last line of the log.
_START = """
cd -- "$root/releases/$id"
# On a full disk not even the log could be written.
[ "$(df -Pk . | awk 'NR == 2 { print $4 }')" -ge 1024 ] || rm -f -- "$root/shared/reserve"
mkdir -p runs
: >"runs/$run.log"
[ -x "../$runner/project/inv" ] || runner=$id
set -- remote.activate "$id" --by "$by" --kind "$kind" $options
setsid nohup "../$runner/inv" "$@" >"runs/$run.log" 2>&1 </dev/null &
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
    digest: str
    """Of the release's manifest; empty for one of an earlier version."""
    proof: str = ""
    """Who asked the server that it serves it; empty where nothing was done."""
    changed: tuple[str, ...] = ()
    seconds: float = 0.0
    by_hand: tuple[str, ...] = ()
    """The models in service that models.toml does not have."""
    pruned: tuple[str, ...] = ()
    """Those that were taken out of service, and moved to shared/triton-disabled."""
    restarted: tuple[str, ...] = ()
    """Why Triton was restarted; nothing where it was not."""
    gap: float | None = None
    """Seconds for which a model that was served before was not ready during that restart."""


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

    Raises HostUnreachableError, HostLockedError, DeployError (nothing that serves changed), RolledBackError,
    NotRolledBackError, ConnectionLostError (before the host began), and ResultUnknownError.
    """
    state = survey(host, settings.remote_dir)
    if serves_already(host, state, source.fingerprint(here)) and not (prune_models and state.by_hand):
        assert state.facts
        require_closed(host, state, grpc=False)
        _warn(state.by_hand, report)
        return Result("nothing to do", state.facts.id, state.facts.digest, by_hand=state.by_hand)
    require_free(host, state)
    wanted = wanted_files(source, settings, here, send_models=send_models)
    return _deployed(host, source, here, state, wanted, prune_models=prune_models, report=report)


def _deployed(
    host: Host,
    source: Source,
    here: HostSettings,
    state: State,
    wanted: Mapping[str, Path],
    *,
    prune_models: bool,
    report: Report,
) -> Result:
    # What is imported here costs as much as a whole deploy with nothing to do.
    from tritonops.remote.push import push
    from tritonops.remote.release import begin, send

    report("check the host")
    facts, lacking = begin(host, state, source, here, wanted)
    if lacking:
        report(f"upload {len(lacking)} large files")
        push(host, state, lacking)
    report(f"upload {facts.id}")
    send(host, source, here, state, facts)
    options = "--prune-models" if prune_models else ""
    outcome = activate(host, state, facts.id, kind="deploy", options=options, report=report)
    config_dir = source.project / "triton-config"
    return _confirmed(host, state, facts, outcome, "deployed", config_dir=config_dir, report=report)


def _warn(by_hand: Collection[str], report: Report) -> None:
    if by_hand:
        report(f"warning: not in models.toml: {', '.join(by_hand)}; kept in service, --prune takes them out of it")


def wanted_files(source: Source, settings: Settings, here: HostSettings, *, send_models: bool) -> dict[str, Path]:
    """Find the large files that the host needs, by SHA-256: those of the checkout, and with `send_models` all models.

    Raises InputError for a model that the host would not get.
    """
    large = {file.sha256: source.project / file.path for file in source.manifest.large}
    if send_models:
        from tritonops.remote.push import pinned_files

        return large | pinned_files(source, settings.store_dir, here)
    source.require_models(here)
    return large


def serves_already(host: Host, state: State, fingerprint: str) -> bool:
    """Whether the host has this very release, nobody changed its disk or its env file, and its Triton serves it."""
    return (
        state.facts is not None
        and state.outcome is not None
        and state.interrupted is None
        and state.facts.fingerprint == fingerprint
        and state.is_untouched
        and state.outcome.env == state.env
        and serves_recorded(host, state)
    )


def require_free(host: Host, state: State) -> None:
    """Raise HostLockedError where somebody is at work on the host; activation itself asks again, and then holds it."""
    if state.holder:
        raise host_locked(host.name, state.holder)


def rollback(host: Host, directory: str, *, to: str | None, report: Report) -> Result:
    """Serve an earlier release again, from the host's own disk; the one that served before where none is named."""
    state = survey(host, directory)
    require_free(host, state)
    from tritonops.remote.records import earlier_release

    facts = earlier_release(host, state, to)
    outcome = activate(host, state, facts.id, kind="rollback", report=report)
    return _confirmed(host, state, facts, outcome, "rolled back", report=report)


def activate(host: Host, state: State, name: str, *, kind: str, options: str = "", report: Report) -> Outcome:
    """Start the activation of a release on the host and follow it; after a cut, log in again and follow on.

    Raises ResultUnknownError where it cannot be learned what came of it.
    """
    # The newest code there knows what all others wrote: a release of an earlier version is not activated by its own.
    runner = max(name, state.facts.id) if state.facts and kind == "rollback" else name
    words = {"root": state.root, "id": name, "runner": runner, "run": os.urandom(8).hex()}
    words |= {"by": who(), "kind": kind, "options": options}
    variables = "".join(f"{key}={shlex.quote(value)}\n" for key, value in words.items())
    follow = f"{variables}not_started={_NOT_STARTED}\n{_FOLLOW}"
    lines = _Lines(report)
    try:
        host.run(f"{variables}{_START}{follow}", on_line=lines)
    except ConnectionLostError:
        _after_loss(host, lambda: _follow_on(host, follow, lines), report)
    if lines.outcome is None:
        last = "\n".join(f"  {line}" for line in lines.seen[-15:])
        raise _ended_silently(host, state, name, last)
    return lines.outcome


def _ended_silently(host: Host, state: State, name: str, last: str) -> TritonOpsError:
    """Word the end of an activation that was killed, by what it left."""
    problem = f"{host.name}: the activation of {name} ended without an outcome"
    found = survey(host, state.root)
    if found.interrupted is None and found.current == state.current:
        return DeployError(f"{problem}; nothing that serves was changed\n{last}")
    hint = f"The next deploy or rollback goes back first. What serves: inv remote.status --host {host.name}"
    return ResultUnknownError(f"{problem}, while it switched\n{last}", hint=hint)


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


def _follow_on(host: Host, follow: str, lines: _Lines) -> None:
    lines.again()
    if host.run(follow, on_line=lines, check=False).code == _NOT_STARTED:
        raise DeployError(f"{host.name}: the connection was lost before the host began; nothing was changed")


def _after_loss(host: Host, ask: Callable[[], _T], report: Report) -> _T:
    """Log in again, a few times, and ask. Raises ResultUnknownError where no answer is to be had."""
    for attempt, pause in enumerate(_PAUSES, 1):
        report(f"the connection was lost; the host goes on by itself. Logging in again ({attempt})")
        time.sleep(pause)
        host.close()
        with suppress(ConnectionLostError, HostUnreachableError):
            return ask()
    raise ResultUnknownError(
        f"{host.name}: the connection was lost while the host was at work; it finishes, or rolls back",
        hint=f"What serves: inv remote.status --host {host.name}",
    )


def _confirmed(
    host: Host,
    state: State,
    facts: Facts,
    outcome: Outcome,
    what: str,
    *,
    config_dir: Path | None = None,
    report: Report,
) -> Result:
    """Raise what the host said of a failure; a success is believed once it was read back from here."""
    from tritonops.remote.client.proof import prove

    if outcome.result == "locked":
        require_free(host, survey(host, state.root))
        problem = f"{host.name}: somebody else was at work: {outcome.message}"
        raise HostLockedError(problem, hint="It has ended: deploy again.")
    if outcome.result != "done":
        raise _ERRORS.get(outcome.result, DeployError)(f"{host.name}: {outcome.message}")

    def ask() -> str:
        return prove(host, state.root, facts, outcome, config_dir=config_dir)

    try:
        proof = ask()
    except ConnectionLostError:
        proof = _after_loss(host, ask, report)
    _warn(outcome.by_hand, report)
    return Result(
        what,
        facts.id,
        facts.digest,
        proof,
        outcome.changed,
        outcome.seconds,
        outcome.by_hand,
        outcome.pruned,
        outcome.restarted,
        outcome.gap,
    )


_ERRORS: dict[str, type[TritonOpsError]] = {
    "rolled back": RolledBackError,
    "not rolled back": NotRolledBackError,
}
