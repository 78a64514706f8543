"""What a host has kept: its releases, its audit log."""

from __future__ import annotations

from dataclasses import dataclass

from tritonops.errors import TritonOpsError
from tritonops.remote.client.host_state import parse, with_root
from tritonops.remote.layout.records import ActivationRecord, ReleaseRecord
from tritonops.remote.ssh.host import Host

_RELEASES = r"""
cd -- "$HOME"; cd -- "$root" 2>/dev/null || exit 0
printf 'current\t%s\n' "$(readlink current)"
for release in releases/*/; do
    case $release in *.partial/ | 'releases/*/') continue ;; esac
    printf 'release\t%s\n' "$(cat "${release}release.json" 2>/dev/null)"
    printf 'activation\t%s\n' "$(cat "${release}outcome.json" 2>/dev/null)"
done
"""


@dataclass(frozen=True)
class KeptRelease:
    """A release that is on the host."""

    record: ReleaseRecord
    activation: ActivationRecord | None
    current: bool


def releases(host: Host, directory: str) -> list[KeptRelease]:
    """List the releases of a host, oldest first."""
    answers = parse(host.run(with_root(directory, _RELEASES)).stdout)
    current = answers.get("current", [""])[0].rpartition("/")[2]
    pairs = zip(answers.get("release", []), answers.get("activation", []), strict=True)
    try:
        kept = [
            (ReleaseRecord.parse(record), ActivationRecord.parse(activation) if activation else None)
            for record, activation in pairs
            if record
        ]
    except ValueError as exc:
        raise TritonOpsError(f"{host.name}: a release's records cannot be read: {exc}") from exc
    return [KeptRelease(record, activation, record.id == current) for record, activation in kept]
