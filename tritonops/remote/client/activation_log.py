"""Start an activation on a host, follow its log, and confirm its result."""

from __future__ import annotations

import os
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
    OpenControlError,
    ResultUnknownError,
    RolledBackError,
    TritonOpsError,
    UnprovenError,
)
from tritonops.process_environment import who
from tritonops.remote.client.host_state import HostState, inspect_host
from tritonops.remote.layout.callbacks import OnStep
from tritonops.remote.layout.deploy_lock import host_locked_error
from tritonops.remote.layout.records import ActivationRecord, ReleaseRecord
from tritonops.remote.layout.scripts import script
from tritonops.remote.ssh.host import Host

_T = TypeVar("_T")
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each login after a connection was lost."""
_NOT_STARTED = 44


@dataclass(frozen=True)
class DeployResult:
    """The result of a deploy or rollback of one host."""

    what: str
    """ "deployed", "rolled back" or "nothing to do"."""
    release: str
    digest: str
    """Of the release's manifest; empty for a release of an earlier version."""
    proof: str = ""
    """Who asked the server for the proof; empty where nothing was done."""
    changed: tuple[str, ...] = ()
    seconds: float = 0.0
    by_hand: tuple[str, ...] = ()
    """The models in service that are not in models.toml."""
    pruned: tuple[str, ...] = ()
    """The models that were moved to shared/triton-disabled."""
    restarted: tuple[str, ...] = ()
    """The reasons for a restart of Triton; empty without one."""
    gap: float | None = None
    """Seconds for which a model that was served before was not ready during the restart."""
    disabled: tuple[str, ...] = ()
    """The release's models that are not served because somebody disabled them on the host."""


def warn_of_changes_by_hand(by_hand: Collection[str], disabled: Collection[str], on_step: OnStep) -> None:
    """Report the models in service that are not in models.toml, and those of the release that are disabled."""
    if by_hand:
        on_step(f"warning: not in models.toml: {', '.join(by_hand)}; kept in service (--prune takes them out)")
    if disabled:
        on_step(
            f"warning: disabled on this host, so not served: {', '.join(disabled)}; models.enable there, then deploy"
        )


def require_unlocked(host: Host, state: HostState) -> None:
    """Raise HostLockedError where the host is locked. The activation checks again, and takes the lock."""
    if state.lock_owner:
        raise host_locked_error(host.name, state.lock_owner)


def activate(
    host: Host, state: HostState, name: str, *, kind: str, prune_models: bool = False, on_step: OnStep
) -> ActivationRecord:
    """Start the activation of a release on the host and follow its log, after a lost connection too.

    Raises ResultUnknownError where its result cannot be read.
    """
    # The newest code there reads all older records, so a release of an earlier version is not activated by its own.
    runner = max(name, state.release.id) if state.release and kind == "rollback" else name
    values = {"root": state.root, "id": name, "run": os.urandom(8).hex(), "not_started": str(_NOT_STARTED)}
    start = script("start_activation", **values, runner=runner, by=who(), kind=kind, prune_models=prune_models)
    follow = script("follow_activation", **values)
    log = _Log(on_step)
    try:
        host.run(start + follow, on_line=log)
    except ConnectionLostError:
        _after_loss(host, lambda: _follow_on(host, follow, log), on_step)
    if log.activation is None:
        last = "\n".join(f"  {line}" for line in log.lines[-15:])
        raise _ended_silently(host, state, name, last)
    return log.activation


def _ended_silently(host: Host, state: HostState, name: str, last: str) -> TritonOpsError:
    """Word the end of an activation that was killed, by the state it left."""
    problem = f"{host.name}: the activation of {name} ended without an outcome"
    found = inspect_host(host)
    if found.interrupted is None and found.current == state.current:
        return DeployError(f"{problem}; what is served was not changed\n{last}")
    hint = f"The next deploy or rollback goes back first. To see the state: inv remote.status --host {host.name}"
    return ResultUnknownError(f"{problem}, while it switched\n{last}", hint=hint)


class _Log:
    """The lines of an activation: each is reported once, and the last one is the record."""

    def __init__(self, on_step: OnStep) -> None:
        self.on_step = on_step
        self.activation: ActivationRecord | None = None
        self.lines: list[str] = []
        self.repeated = 0

    def __call__(self, line: str) -> None:
        if self.repeated:
            self.repeated -= 1
            return
        self.lines.append(line)
        if line.startswith("outcome\t"):
            self.activation = ActivationRecord.parse(line.partition("\t")[2])
        else:
            self.on_step(line)

    def restart(self) -> None:
        """Expect the log from its beginning again."""
        self.repeated = len(self.lines)


def _follow_on(host: Host, follow: str, log: _Log) -> None:
    log.restart()
    if host.run(follow, on_line=log, check=False).code == _NOT_STARTED:
        raise DeployError(f"{host.name}: the connection was lost before the host began; nothing was changed")


def _after_loss(host: Host, ask: Callable[[], _T], on_step: OnStep) -> _T:
    """Log in again, a few times, and ask. Raises ResultUnknownError where that fails."""
    for attempt, pause in enumerate(_PAUSES, 1):
        on_step(f"the connection was lost; the host continues by itself. Logging in again ({attempt})")
        time.sleep(pause)
        host.close()
        with suppress(ConnectionLostError, HostUnreachableError):
            return ask()
    raise ResultUnknownError(
        f"{host.name}: the connection was lost during the activation; the host finishes, or rolls back",
        hint=f"To see the result: inv remote.status --host {host.name}",
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
    """Raise the failure of an activation; confirm a success by reading the host back."""
    from tritonops.remote.client.proof import prove

    _raise_failure(host, activation)

    def read_back() -> str:
        return prove(host, record, activation, config_dir=config_dir)

    try:
        proof = read_back()
    except ConnectionLostError:
        proof = _after_loss(host, read_back, on_step)
    except (UnprovenError, OpenControlError):
        raise
    except TritonOpsError as exc:
        problem = f"{host.name}: {record.id} is active, but it could not be proved that it serves: {exc}"
        raise UnprovenError(problem, hint=exc.hint or f"inv remote.status --host {host.name}") from exc
    warn_of_changes_by_hand(activation.by_hand, activation.disabled, on_step)
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
        activation.disabled,
    )


def _raise_failure(host: Host, activation: ActivationRecord) -> None:
    if activation.result == "locked":
        require_unlocked(host, inspect_host(host))
        problem = f"{host.name}: another deploy was running: {activation.message}"
        raise HostLockedError(problem, hint="It has ended: deploy again.")
    if activation.result != "done":
        raise _ERRORS.get(activation.result, DeployError)(f"{host.name}: {activation.message}")


_ERRORS: dict[str, type[TritonOpsError]] = {
    "rolled back": RolledBackError,
    "not rolled back": NotRolledBackError,
}
