"""What a host has kept: its releases, its audit log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tritonops.documents import abbreviate, parse_json
from tritonops.errors import InputError, TritonOpsError, UnknownReleaseError
from tritonops.remote.host import Host
from tritonops.remote.layout import Facts, Outcome, result_word
from tritonops.remote.survey import State, parse, with_root

_RELEASES = r"""
cd -- "$HOME"; cd -- "$root" 2>/dev/null || exit 0
printf 'current\t%s\n' "$(readlink current)"
for release in releases/*/; do
    case $release in *.partial/ | 'releases/*/') continue ;; esac
    printf 'release\t%s\n' "$(cat "${release}release.json" 2>/dev/null)"
    printf 'outcome\t%s\n' "$(cat "${release}outcome.json" 2>/dev/null)"
done
"""


@dataclass(frozen=True)
class Kept:
    """A release that is on the host."""

    facts: Facts
    outcome: Outcome | None
    current: bool


def releases(host: Host, directory: str) -> list[Kept]:
    """List the releases of a host, oldest first."""
    said = parse(host.run(with_root(directory, _RELEASES)).stdout)
    current = said.get("current", [""])[0].rpartition("/")[2]
    pairs = zip(said.get("release", []), said.get("outcome", []), strict=True)
    try:
        kept = [(Facts.parse(facts), Outcome.parse(outcome) if outcome else None) for facts, outcome in pairs if facts]
    except ValueError as exc:
        raise TritonOpsError(f"{host.name}: a release's records cannot be read: {exc}") from exc
    return [Kept(facts, outcome, facts.id == current) for facts, outcome in kept]


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


def audit(host: Host, directory: str) -> list[Mapping[str, Any]]:
    """List what was done on a host and by whom, oldest first; an entry that is none is listed as that."""
    script = 'cd -- "$HOME"; cd -- "$root" 2>/dev/null || exit 0; cat audit.log 2>/dev/null || true'
    return [parse_audit_entry(line) for line in host.run(with_root(directory, script)).stdout.splitlines() if line]


def parse_audit_entry(line: str) -> Mapping[str, Any]:
    """Read a line of audit.log; what is no entry becomes one that says so."""
    try:
        entry = parse_json(line, "the entry")
    except InputError:
        entry = None
    if not isinstance(entry, dict):
        return {"what": "unreadable entry", "message": abbreviate(line)}
    result = entry.get("result")
    return {**entry, "result": result_word(result)} if isinstance(result, str) else entry
