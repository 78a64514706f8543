"""Objects of a target as an API server gives them back: what was rendered, and what the cluster made of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from tests.kubernetes.projects import IMAGE, INIT_IMAGE, target
from tritonops.kubernetes.cluster.live import LiveTarget
from tritonops.kubernetes.cluster.revision import AT, BY, COMMIT, RESULT, RESULT_OF
from tritonops.kubernetes.manifests.config_maps import release_maps, scripts_config_map
from tritonops.kubernetes.manifests.deployment import deployment
from tritonops.kubernetes.manifests.names import Manifest
from tritonops.kubernetes.manifests.scripts import scripts
from tritonops.kubernetes.manifests.versions import parse_version
from tritonops.kubernetes.release.release import Release

TARGET = target()
UID = "uid-of-the-deployment"
RECORD = {BY: "ci@runner", AT: "2026-11-30T10:00:00Z", COMMIT: "abc1234"}


def release_of(*names: str) -> Release:
    """A release of models, each in version 1, with a config that is text and a file that is not."""
    files = {f"triton-config/{name}/gpu.pbtxt": f'name: "{name}"\n'.encode() for name in names}
    return Release({**files, "sources/a.onnx": b"\x00\xff"}, tuple((name, 1) for name in names), (IMAGE, INIT_IMAGE), 9)


def rendered(release: Release) -> list[Manifest]:
    """The Deployment and the ConfigMaps of a release."""
    maps, programs = release_maps(TARGET, release), scripts(release.expected)
    made = deployment(TARGET, release, maps, programs, parse_version("1.34"), is_scaled=False)
    return [made, *(each.manifest for each in maps), scripts_config_map(TARGET, programs)]


def live_deployment(
    release: Release, *, replicas: int = 2, generation: int = 3, status: Mapping[str, Any] | None = None
) -> Manifest:
    """The Deployment, with the status of one whose pods are all available."""
    found = copy.deepcopy(rendered(release)[0])
    found["metadata"] |= {"uid": UID, "generation": generation}
    found["metadata"]["annotations"] |= RECORD
    found["spec"]["replicas"] = replicas
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"), replicas)
    found["status"] = {"observedGeneration": generation, **counts, **(status or {})}
    return found


def replica_set(number: int, release: Release, *, result: str | None = "served", owner: str = UID) -> Manifest:
    """The ReplicaSet of a revision, with what the cluster adds to the template of its pods."""
    made = rendered(release)[0]
    template = copy.deepcopy(made["spec"]["template"])
    template["metadata"]["labels"]["pod-template-hash"] = f"hash{number}"
    template["metadata"]["creationTimestamp"] = None
    noted = {
        "deployment.kubernetes.io/revision": str(number),
        **RECORD,
        **({RESULT: result, RESULT_OF: f"{RECORD[AT]} -"} if result else {}),
    }
    name = f"{made['metadata']['name']}-hash{number}"
    owners = [{"apiVersion": "apps/v1", "kind": "Deployment", "uid": owner, "controller": True}]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "uid": f"uid-{number}", "annotations": noted, "ownerReferences": owners},
        "spec": {"template": template},
    }


def pod(name: str, number: int, *, status: Mapping[str, Any] | None = None, **metadata: Any) -> Manifest:
    """A pod of a revision."""
    owners = [{"kind": "ReplicaSet", "uid": f"uid-{number}", "controller": True}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "ownerReferences": owners, **metadata},
        "spec": {"nodeName": "node-1"},
        "status": dict(status or {}),
    }


def ready_status() -> dict[str, Any]:
    """The status of a pod that is ready."""
    running = {"running": {"startedAt": "2026-11-30T10:00:00Z"}}
    triton = {"name": "triton", "ready": True, "started": True, "restartCount": 0, "state": running}
    return {"phase": "Running", "containerStatuses": [triton]}


def live(*objects: Manifest | Sequence[Manifest]) -> LiveTarget:
    """A target with these objects."""
    flat = [each for found in objects for each in ([found] if isinstance(found, Mapping) else found)]
    return LiveTarget(TARGET, tuple(flat))
