"""What a host has kept: its releases, its audit log."""

from __future__ import annotations

from dataclasses import dataclass

from tritonops.errors import TritonOpsError
from tritonops.remote.client.host_state import parse, with_root
from tritonops.remote.layout.records import Facts, Outcome
from tritonops.remote.ssh.host import Host

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
