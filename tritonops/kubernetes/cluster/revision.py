"""A revision of a Deployment, and what a deploy noted about it: the annotations of its ReplicaSet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tritonops.kubernetes.manifests.names import RELEASE, Manifest

_NUMBER = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"
BY, COMMIT, AT, RESTORED = "tritonops/by", "tritonops/commit", "tritonops/at", "tritonops/restored"
RECORD = (BY, COMMIT, AT, RESTORED)
"""Annotations of the Deployment, which the cluster copies to the ReplicaSet of its current template."""
RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""Set by `kubectl rollout restart`: the pods serve the same release."""
RESULT, RESULT_OF = "tritonops/result", "tritonops/result-of"
"""Annotations of the ReplicaSet: SERVED, or why not, and of which deploy. A template that is deployed again has the
same ReplicaSet again, with the result of the deploy before.
"""
SERVED = "served"


@dataclass(frozen=True)
class Revision:
    """What a Deployment asked for at one time; the cluster keeps the last few."""

    number: int
    name: str
    """Of the ReplicaSet."""
    uid: str
    release: str | None
    """The digest of the release; None for a ReplicaSet that was not made by a deploy."""
    by: str | None
    commit: str | None
    at: str | None
    """When it was deployed, ISO 8601, UTC."""
    restored: str | None
    """When and by whom it was rolled back to."""
    result: str | None
    """Of its last deploy: SERVED, or why not; None while that works, and where it was interrupted."""
    template: Manifest
    """The pod's, as it was applied."""

    @property
    def served(self) -> bool:
        """Whether a deploy saw it serve."""
        return self.result == SERVED

    @property
    def record(self) -> dict[str, str]:
        """The annotations of its deploy."""
        values = {BY: self.by, COMMIT: self.commit, AT: self.at, RESTORED: self.restored}
        return {name: value for name, value in values.items() if value is not None}


def revision_of(replica_set: Manifest) -> Revision:
    """Read a ReplicaSet."""
    found = replica_set["metadata"].get("annotations", {})
    return Revision(
        number=int(found.get(_NUMBER, 0)),
        name=replica_set["metadata"]["name"],
        uid=replica_set["metadata"]["uid"],
        release=replica_set["spec"]["template"]["metadata"].get("annotations", {}).get(RELEASE),
        by=found.get(BY),
        commit=found.get(COMMIT),
        at=found.get(AT),
        restored=found.get(RESTORED),
        result=found.get(RESULT) if found.get(RESULT_OF) == deploy_of(found) else None,
        template=_applied(replica_set["spec"]["template"]),
    )


def deploy_of(annotations: Mapping[str, str]) -> str:
    """Tell apart the deploys and rollbacks of a revision: by when it was deployed, and when it was rolled back to.

    By both: the cluster never removes an annotation of a ReplicaSet, so that of an earlier rollback may stay.
    """
    return " ".join(annotations.get(name, "-") for name in (AT, RESTORED))


def _applied(template: Manifest) -> Manifest:
    """Leave out what no deploy sets: what the cluster added, and the time of a restart, which starts no release."""
    found: dict[str, Any] = dict(template["metadata"])
    found.pop("creationTimestamp", None)
    if annotations := found.get("annotations"):
        found["annotations"] = {name: value for name, value in annotations.items() if name != RESTARTED}
    found["labels"] = {name: value for name, value in found["labels"].items() if name != _HASH}
    return {**template, "metadata": found}
