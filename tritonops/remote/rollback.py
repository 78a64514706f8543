"""Serve an earlier release again."""

from __future__ import annotations

from tritonops.errors import InputError, UnknownReleaseError
from tritonops.remote.client.activation_log import DeployResult, activate, confirm_activation, require_unlocked
from tritonops.remote.client.host_state import HostState, inspect_host
from tritonops.remote.layout.paths import OnStep
from tritonops.remote.layout.records import ReleaseRecord
from tritonops.remote.releases import releases
from tritonops.remote.ssh.host import Host


def earlier_release(host: Host, state: HostState, name: str | None) -> ReleaseRecord:
    """Check that a release can be gone back to; without a name, find the one that served before the current one.

    Raises UnknownReleaseError, and InputError where the release never served, or there is none before.
    """
    served = [kept for kept in releases(host, state.root) if kept.activation and kept.activation.result == "done"]
    names = [kept.record.id for kept in served]
    if name is None:
        name = _served_before(host, state, names)
    if name not in names:
        raise UnknownReleaseError(name, names)
    return next(kept.record for kept in served if kept.record.id == name)


def _served_before(host: Host, state: HostState, names: list[str]) -> str:
    """As the host recorded it; releases of earlier versions, whose records do not say, by their ids."""
    hint = f"inv remote.releases --host {host.name} shows all."
    current = state.release.id if state.release else ""
    before = state.activation.before if state.activation else None
    if before is None:
        before = max((name for name in names if name < current), default="")
    if not before:
        raise InputError(f"{host.name} has no release before the current one", hint=hint)
    if before not in names:
        raise InputError(f"{host.name} no longer has {before}, which served before {current}", hint=hint)
    return before


def roll_back_host(host: Host, directory: str, *, to: str | None, on_step: OnStep) -> DeployResult:
    """Serve an earlier release again, from the host's own disk; the one that served before where none is named."""
    state = inspect_host(host, directory)
    require_unlocked(host, state)
    from tritonops.remote.rollback import earlier_release

    record = earlier_release(host, state, to)
    activation = activate(host, state, record.id, kind="rollback", on_step=on_step)
    return confirm_activation(host, state, record, activation, "rolled back", on_step=on_step)
