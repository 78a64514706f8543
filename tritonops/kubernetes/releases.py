"""The releases that a cluster keeps of a target."""

from __future__ import annotations

from dataclasses import dataclass

from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import read_rollout, require_namespace
from tritonops.kubernetes.targets.target import Target


@dataclass(frozen=True)
class KeptRevision:
    """A revision of the Deployment, as its annotations have it."""

    revision: int
    release: str | None
    by: str | None
    at: str | None
    """ISO 8601, UTC."""
    commit: str | None
    restored: str | None
    """When and by whom it was rolled back to."""
    result: str | None
    """ "served", or why not; None where its deploy did not end."""
    current: bool


def releases(target: Target) -> list[KeptRevision]:
    """List the revisions of a target, oldest first."""
    kubectl = Kubectl.of(target)
    live = read_rollout(kubectl, target)
    require_namespace(kubectl, live)
    return [
        KeptRevision(
            revision=each.number,
            release=each.release,
            by=each.by,
            at=each.at,
            commit=each.commit,
            restored=each.restored,
            result=each.result,
            current=each is live.revisions[-1],
        )
        for each in live.revisions
    ]
