"""The releases of a host."""

from __future__ import annotations

from dataclasses import dataclass

from tritonops.errors import TritonOpsError
from tritonops.remote.client.host_state import parse_activation, parse_answers
from tritonops.remote.layout.records import ActivationRecord, ReleaseRecord
from tritonops.remote.layout.scripts import script
from tritonops.remote.ssh.host import Host


@dataclass(frozen=True)
class KeptRelease:
    """A release whose folder is on the host."""

    record: ReleaseRecord
    activation: ActivationRecord | None
    is_current: bool


def releases(host: Host) -> list[KeptRelease]:
    """List the releases of a host, oldest first."""
    answers = parse_answers(host.run(script("answer", "list_releases", root=host.folder)).stdout)
    current = answers.get("current", [""])[0].rpartition("/")[2]
    texts = zip(answers.get("release", []), answers.get("activation", []), strict=True)
    try:
        return [_kept(record, activation, current) for record, activation in texts if record]
    except ValueError as exc:
        raise TritonOpsError(f"{host.name}: a release's records cannot be read: {exc}") from exc


def _kept(record_text: str, activation_text: str, current: str) -> KeptRelease:
    record = ReleaseRecord.parse(record_text)
    activation = parse_activation(activation_text)
    return KeptRelease(record, activation, record.id == current)
