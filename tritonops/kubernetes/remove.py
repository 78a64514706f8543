"""Remove a target from its cluster."""

from __future__ import annotations

from dataclasses import dataclass

from tritonops.kubernetes.cluster.changes import delete
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import LiveTarget, custom_kinds, read_live, require_namespace
from tritonops.kubernetes.targets.target import Target


@dataclass(frozen=True)
class RemovedObject:
    """An object of a target."""

    target: str
    kind: str
    name: str


@dataclass(frozen=True)
class Removal:
    """What would be, or was, removed."""

    kubectl: Kubectl
    live: LiveTarget

    @property
    def objects(self) -> list[RemovedObject]:
        """List the objects; pods and ReplicaSets go with their Deployment."""
        return [RemovedObject(self.live.target.name, *name) for name in sorted(self.live.by_name)]


def make_removal(target: Target) -> Removal:
    """Find what a deploy made for a target; Secrets, claims and the namespace are not among it."""
    kubectl = Kubectl.of(target)
    live = read_live(kubectl, target)
    require_namespace(kubectl, live)
    return Removal(kubectl, live)


def remove(removal: Removal) -> None:
    """Delete the objects, and wait until the pods are gone, too.

    The Deployment notes which kinds of custom resources there are, so it goes after them: a removal that was killed can
    be repeated.
    """
    objects = list(removal.live.by_name.values())
    kinds = custom_kinds(objects)
    delete(removal.kubectl, [each for each in objects if each["kind"] in kinds], wait=True)
    deployments = [each for each in objects if each["kind"] == "Deployment"]
    if deployments:
        removal.kubectl.output(
            [
                "delete",
                "deployments.apps",
                *(each["metadata"]["name"] for each in deployments),
                "--ignore-not-found",
                "--cascade=foreground",
                "--output=name",
            ],
            timeout=600,
        )
    delete(removal.kubectl, [each for each in objects if each["kind"] not in ("Deployment", *kinds)], wait=True)
