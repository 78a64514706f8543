"""Serve an earlier release again."""

from __future__ import annotations

from tritonops.errors import InputError, UnknownReleaseError
from tritonops.remote.client.activation_log import DeployResult, activate, confirm_activation, require_unlocked
from tritonops.remote.client.host_state import HostState, inspect_host
from tritonops.remote.layout.callbacks import OnStep
from tritonops.remote.layout.records import ReleaseRecord
from tritonops.remote.releases import releases
from tritonops.remote.ssh.host import Host


def roll_back_host(host: Host, *, to: str | None, on_step: OnStep) -> DeployResult:
    """Serve an earlier release from the host's own disk (default: the one before the current)."""
    state = inspect_host(host)
    require_unlocked(host, state)
    release = earlier_release(host, state, to)
    activation = activate(host, state, release.id, kind="rollback", on_step=on_step)
    return confirm_activation(host, state, release, activation, "rolled back", on_step=on_step)


def earlier_release(host: Host, state: HostState, name: str | None) -> ReleaseRecord:
    """Find the release to go back to (default: the one that served before the current).

    Raises UnknownReleaseError, and InputError where the release never served, or there is none before.
    """
    served = [kept.record for kept in releases(host) if kept.activation and kept.activation.result == "done"]
    names = [record.id for record in served]
    if name is None:
        name = _served_before(host, state, names)
    if name not in names:
        raise UnknownReleaseError(name, names)
    return next(record for record in served if record.id == name)


def _served_before(host: Host, state: HostState, names: list[str]) -> str:
    """As the host recorded it; by their ids for releases of earlier versions, which have no such record."""
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
