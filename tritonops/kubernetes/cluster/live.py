"""What a cluster has of a target: read in one command, by the labels that all of its objects have."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tritonops.errors import ClusterForbiddenError, KubectlError
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.managed_fields import is_applied
from tritonops.kubernetes.cluster.revision import Revision, revision_of
from tritonops.kubernetes.manifests.names import CUSTOM_KINDS, Manifest, is_own_name, main_name, selector
from tritonops.kubernetes.manifests.scripts import STARTED, expected_versions
from tritonops.kubernetes.targets.target import Target

_MANIFESTS = (
    *("deployments.apps", "configmaps", "services", "serviceaccounts", "networkpolicies.networking.k8s.io"),
    *("poddisruptionbudgets.policy", "horizontalpodautoscalers.autoscaling"),
)
_RUNNING = ("replicasets.apps", "pods")
_RUNNING_KINDS = ("ReplicaSet", "Pod")
_CUSTOM = {"ScaledObject": "scaledobjects.keda.sh", "PodMonitor": "podmonitors.monitoring.coreos.com"}
_UNKNOWN_TYPE = re.compile("doesn't have a resource type|no matches for kind")
Name = tuple[str, str]
"""The kind and the name of an object."""


@dataclass(frozen=True)
class LiveTarget:
    """The objects of a target in its namespace, at one moment."""

    target: Target
    objects: tuple[Manifest, ...]

    @cached_property
    def by_name(self) -> dict[Name, Manifest]:
        """Everything that a deploy applies, by kind and name.

        Others give our labels to objects of their own: KEDA to the HorizontalPodAutoscaler that it makes, which has an
        owner, and `kubectl expose` to a Service. So an object is ours if a deploy applied it, or by its name.
        """
        return {
            name_of(each): each
            for each in self.objects
            if each["kind"] not in _RUNNING_KINDS
            and not _owners(each)
            and (is_applied(each) or is_own_name(self.target, each["metadata"]["name"]))
        }

    @cached_property
    def deployment(self) -> Manifest | None:
        """The Deployment; None before the first deploy."""
        return self.by_name.get(("Deployment", main_name(self.target)))

    @cached_property
    def revisions(self) -> list[Revision]:
        """The revisions that the cluster keeps, oldest first; the last one is the current."""
        owner = self.deployment and self.deployment["metadata"]["uid"]
        found = (revision_of(each) for each in self.objects if each["kind"] == "ReplicaSet" and owner in _owners(each))
        return sorted(found, key=lambda revision: revision.number)

    @property
    def current(self) -> Revision | None:
        """The revision that the Deployment asks for; None before the first, and until the cluster has seen a change."""
        return self.revisions[-1] if self.revisions and self.is_observed else None

    @property
    def is_observed(self) -> bool:
        """Whether the cluster has seen the Deployment as it is."""
        found = self.deployment
        if found is None:
            return False
        return bool(found["status"].get("observedGeneration", 0) >= found["metadata"]["generation"])

    @property
    def is_complete(self) -> bool:
        """Whether all replicas, at least one, are pods of the current revision, available, and there are no others."""
        if not self.deployment or not self.is_observed:
            return False
        replicas, status = self.deployment["spec"]["replicas"], self.deployment["status"]
        counts = (status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas"))
        return replicas > 0 and all(count == replicas for count in counts)

    def pods(self, revision: Revision | None = None) -> list[Manifest]:
        """List the pods, or those of one revision, without those that end."""
        return [
            each
            for each in self.objects
            if each["kind"] == "Pod"
            and not each["metadata"].get("deletionTimestamp")
            and (revision is None or revision.uid in _owners(each))
        ]

    def referenced_maps(self) -> set[str]:
        """Name the ConfigMaps that pods of a kept revision need."""
        specs = [revision.template["spec"] for revision in self.revisions]
        specs += [each["spec"] for each in self.objects if each["kind"] == "Pod"]
        return {name for spec in specs for name in _config_maps(spec)}

    def files(self, revision: Revision) -> dict[str, bytes] | None:
        """Read the files of a revision's release by their paths; None where a ConfigMap of it is gone."""
        found = dict[str, bytes]()
        for volume in revision.template["spec"].get("volumes", []):
            for source in volume.get("projected", {}).get("sources", []):
                part = source.get("configMap", {})
                data = self._data(part.get("name"))
                for item in part.get("items", []):
                    if item["key"] not in data:
                        return None
                    found[item["path"]] = data[item["key"]]
        return found or None

    def expected(self, revision: Revision) -> list[tuple[str, int]] | None:
        """List what a revision's startup probe asks for; None where its ConfigMap is gone."""
        for name in _config_maps(revision.template["spec"]):
            program = self._data(name).get(STARTED)
            if program is not None:
                return expected_versions(program.decode())
        return None

    def _data(self, name: str | None) -> dict[str, bytes]:
        found = self.by_name.get(("ConfigMap", name or ""), {})
        texts = {key: text.encode() for key, text in (found.get("data") or {}).items()}
        return texts | {key: base64.b64decode(text) for key, text in (found.get("binaryData") or {}).items()}


def read_live(kubectl: Kubectl, target: Target, *, custom_kinds: Collection[str] = ()) -> LiveTarget:
    """Read a target's objects; of the custom resources those in `custom_kinds`, and those that a deploy noted.

    Raises KubectlError and its like. A namespace that does not exist has no objects: see `require_namespace`.
    """
    found = kubectl.objects([",".join((*_MANIFESTS, *_RUNNING)), *_selected(target)])
    found += _unlabelled(kubectl, target, found)
    noted = (each["metadata"].get("annotations", {}).get(CUSTOM_KINDS, "") for each in found)
    kinds = {*custom_kinds, *(kind for text in noted for kind in text.split(",") if kind)}
    for kind in sorted(kinds & _CUSTOM.keys()):
        found += _custom(kubectl, target, _CUSTOM[kind])
    return LiveTarget(target, tuple(found))


def read_rollout(kubectl: Kubectl, target: Target) -> LiveTarget:
    """Read what changes during a rollout: the Deployment, its revisions and pods."""
    words = [",".join(("deployments.apps", *_RUNNING)), *_selected(target)]
    found = kubectl.objects(words)
    return LiveTarget(target, (*found, *_unlabelled(kubectl, target, found)))


def require_namespace(kubectl: Kubectl, live: LiveTarget) -> None:
    """Raise UnknownNamespaceError where there is nothing because there is no namespace."""
    if live.objects:
        return
    # Who may list objects and not read their namespace has a Role in it, so it is there.
    with suppress(ClusterForbiddenError):
        kubectl.output(["get", "namespace", kubectl.namespace, "--output=name"])


def custom_kinds(objects: Iterable[Manifest]) -> set[str]:
    """Name the kinds of custom resources among some objects."""
    return {each["kind"] for each in objects} & _CUSTOM.keys()


def name_of(found: Manifest) -> Name:
    """Give kind and name of an object."""
    return found["kind"], found["metadata"]["name"]


def _custom(kubectl: Kubectl, target: Target, resource: str) -> list[Manifest]:
    """List custom resources; none where the cluster no longer knows them."""
    try:
        return kubectl.objects([resource, *_selected(target)])
    except KubectlError as exc:
        if _UNKNOWN_TYPE.search(str(exc)):
            return []
        raise


def _unlabelled(kubectl: Kubectl, target: Target, found: Iterable[Manifest]) -> list[Manifest]:
    """Read the Deployment by the name that its ReplicaSets have, where somebody changed its labels."""
    kinds = {each["kind"] for each in found}
    owners = (owner for each in found for owner in each["metadata"].get("ownerReferences", []))
    names = {(owner["kind"], owner.get("name")) for owner in owners}
    if "Deployment" in kinds or ("Deployment", main_name(target)) not in names:
        return []
    words = ["get", f"deployments.apps/{main_name(target)}", "--ignore-not-found", "--show-managed-fields"]
    text = kubectl.output([*words, "--output=json"])
    return [json.loads(text)] if text else []


def _selected(target: Target) -> list[str]:
    labels = ",".join(f"{name}={value}" for name, value in selector(target).items())
    return [f"--selector={labels},app.kubernetes.io/managed-by=tritonops", "--show-managed-fields"]


def _owners(found: Manifest) -> set[Any]:
    return {owner["uid"] for owner in found["metadata"].get("ownerReferences", [])}


def _config_maps(spec: Mapping[str, Any]) -> Iterator[str]:
    for volume in spec.get("volumes", []):
        if name := volume.get("configMap", {}).get("name"):
            yield name
        for source in volume.get("projected", {}).get("sources", []):
            if name := source.get("configMap", {}).get("name"):
                yield name
