"""Start an activation on a host, follow its log, and prove what it came to."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Collection
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
from tritonops.remote.client.checkout import who
from tritonops.remote.client.host_state import HostState, inspect_host
from tritonops.remote.layout.deploy_lock import host_locked_error
from tritonops.remote.layout.paths import OnStep
from tritonops.remote.layout.records import ActivationRecord, ReleaseRecord
from tritonops.remote.ssh.host import Host

_T = TypeVar("_T")
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each login after a connection was lost."""
# setsid and nohup: no lost connection takes it along. The activation is the last line of the log.
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
class DeployResult:
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


def _warn(by_hand: Collection[str], on_step: OnStep) -> None:
    if by_hand:
        on_step(f"warning: not in models.toml: {', '.join(by_hand)}; kept in service, --prune takes them out of it")


def require_unlocked(host: Host, state: HostState) -> None:
    """Raise HostLockedError where somebody is at work on the host; activation itself asks again, and then holds it."""
    if state.lock_owner:
        raise host_locked_error(host.name, state.lock_owner)


def activate(
    host: Host, state: HostState, name: str, *, kind: str, options: str = "", on_step: OnStep
) -> ActivationRecord:
    """Start the activation of a release on the host and follow it; after a cut, log in again and follow on.

    Raises ResultUnknownError where it cannot be learned what came of it.
    """
    # The newest code there knows what all others wrote: a release of an earlier version is not activated by its own.
    runner = max(name, state.release.id) if state.release and kind == "rollback" else name
    words = {"root": state.root, "id": name, "runner": runner, "run": os.urandom(8).hex()}
    words |= {"by": who(), "kind": kind, "options": options}
    variables = "".join(f"{key}={shlex.quote(value)}\n" for key, value in words.items())
    follow = f"{variables}not_started={_NOT_STARTED}\n{_FOLLOW}"
    lines = _Lines(on_step)
    try:
        host.run(f"{variables}{_START}{follow}", on_line=lines)
    except ConnectionLostError:
        _after_loss(host, lambda: _follow_on(host, follow, lines), on_step)
    if lines.activation is None:
        last = "\n".join(f"  {line}" for line in lines.seen[-15:])
        raise _ended_silently(host, state, name, last)
    return lines.activation


def _ended_silently(host: Host, state: HostState, name: str, last: str) -> TritonOpsError:
    """Word the end of an activation that was killed, by what it left."""
    problem = f"{host.name}: the activation of {name} ended without an outcome"
    found = inspect_host(host, state.root)
    if found.interrupted is None and found.current == state.current:
        return DeployError(f"{problem}; nothing that serves was changed\n{last}")
    hint = f"The next deploy or rollback goes back first. What serves: inv remote.status --host {host.name}"
    return ResultUnknownError(f"{problem}, while it switched\n{last}", hint=hint)


class _Lines:
    """The lines of an activation's log: reported once, the last of them is the activation."""

    def __init__(self, on_step: OnStep) -> None:
        self.on_step, self.activation = on_step, None  # type: OnStep, ActivationRecord | None
        self.seen: list[str] = []
        self.repeated = 0

    def __call__(self, line: str) -> None:
        if self.repeated:
            self.repeated -= 1
            return
        self.seen.append(line)
        if line.startswith("outcome\t"):
            self.activation = ActivationRecord.parse(line.partition("\t")[2])
        else:
            self.on_step(line)

    def again(self) -> None:
        """The log comes from its beginning once more."""
        self.repeated = len(self.seen)


def _follow_on(host: Host, follow: str, lines: _Lines) -> None:
    lines.again()
    if host.run(follow, on_line=lines, check=False).code == _NOT_STARTED:
        raise DeployError(f"{host.name}: the connection was lost before the host began; nothing was changed")


def _after_loss(host: Host, ask: Callable[[], _T], on_step: OnStep) -> _T:
    """Log in again, a few times, and ask. Raises ResultUnknownError where no answer is to be had."""
    for attempt, pause in enumerate(_PAUSES, 1):
        on_step(f"the connection was lost; the host goes on by itself. Logging in again ({attempt})")
        time.sleep(pause)
        host.close()
        with suppress(ConnectionLostError, HostUnreachableError):
            return ask()
    raise ResultUnknownError(
        f"{host.name}: the connection was lost while the host was at work; it finishes, or rolls back",
        hint=f"What serves: inv remote.status --host {host.name}",
    )


def confirm_activation(
    host: Host,
    state: HostState,
    record: ReleaseRecord,
    activation: ActivationRecord,
    what: str,
    *,
    config_dir: Path | None = None,
    on_step: OnStep,
) -> DeployResult:
    """Raise what the host said of a failure; a success is believed once it was read back from here."""
    from tritonops.remote.client.proof import prove

    if activation.result == "locked":
        require_unlocked(host, inspect_host(host, state.root))
        problem = f"{host.name}: somebody else was at work: {activation.message}"
        raise HostLockedError(problem, hint="It has ended: deploy again.")
    if activation.result != "done":
        raise _ERRORS.get(activation.result, DeployError)(f"{host.name}: {activation.message}")

    def ask() -> str:
        return prove(host, state.root, record, activation, config_dir=config_dir)

    try:
        proof = ask()
    except ConnectionLostError:
        proof = _after_loss(host, ask, on_step)
    _warn(activation.by_hand, on_step)
    return DeployResult(
        what,
        record.id,
        record.digest,
        proof,
        activation.changed,
        activation.seconds,
        activation.by_hand,
        activation.pruned,
        activation.restarted,
        activation.gap,
    )


_ERRORS: dict[str, type[TritonOpsError]] = {
    "rolled back": RolledBackError,
    "not rolled back": NotRolledBackError,
}
