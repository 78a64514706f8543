"""Serve an earlier release again."""

from __future__ import annotations

from tritonops.errors import InputError, UnknownReleaseError
from tritonops.remote.client.activation_log import DeployResult, _confirmed, activate, require_free
from tritonops.remote.client.host_state import State, survey
from tritonops.remote.layout.paths import Report
from tritonops.remote.layout.records import Facts
from tritonops.remote.releases import releases
from tritonops.remote.ssh.host import Host


def earlier_release(host: Host, state: State, name: str | None) -> Facts:
    """Check that a release can be gone back to; without a name, find the one that served before the current one.

    Raises UnknownReleaseError, and InputError where the release never served, or there is none before.
    """
    served = [kept for kept in releases(host, state.root) if kept.outcome and kept.outcome.result == "done"]
    names = [kept.facts.id for kept in served]
    if name is None:
        name = _served_before(host, state, names)
    if name not in names:
        raise UnknownReleaseError(name, names)
    return next(kept.facts for kept in served if kept.facts.id == name)


def _served_before(host: Host, state: State, names: list[str]) -> str:
    """As the host recorded it; releases of earlier versions, whose records do not say, by their ids."""
    hint = f"inv remote.releases --host {host.name} shows all."
    current = state.facts.id if state.facts else ""
    before = state.outcome.before if state.outcome else None
    if before is None:
        before = max((name for name in names if name < current), default="")
    if not before:
        raise InputError(f"{host.name} has no release before the current one", hint=hint)
    if before not in names:
        raise InputError(f"{host.name} no longer has {before}, which served before {current}", hint=hint)
    return before


def roll_back_host(host: Host, directory: str, *, to: str | None, report: Report) -> DeployResult:
    """Serve an earlier release again, from the host's own disk; the one that served before where none is named."""
    state = survey(host, directory)
    require_free(host, state)
    from tritonops.remote.rollback import earlier_release

    facts = earlier_release(host, state, to)
    outcome = activate(host, state, facts.id, kind="rollback", report=report)
    return _confirmed(host, state, facts, outcome, "rolled back", report=report)
