"""The Deployment: pods of one release each, and how one release follows another."""

from __future__ import annotations

from collections.abc import Sequence

from tritonops.errors import InputError
from tritonops.kubernetes.manifests import scripts
from tritonops.kubernetes.manifests.config_maps import FilesMap
from tritonops.kubernetes.manifests.containers import downloads, init_container, models_volume, triton_container
from tritonops.kubernetes.manifests.names import (
    RELEASE,
    Manifest,
    labels,
    main_name,
    manifest,
    metadata,
    scripts_map,
    selector,
)
from tritonops.kubernetes.manifests.timing import Timing
from tritonops.kubernetes.manifests.versions import ClusterVersion
from tritonops.kubernetes.release.release import Release
from tritonops.kubernetes.targets.target import Target

USER = 1000
"""The user of both containers: Triton reads what the init container wrote."""


def deployment(
    target: Target,
    release: Release,
    maps: Sequence[FilesMap],
    programs: dict[str, str],
    version: ClusterVersion,
    *,
    is_scaled: bool,
) -> Manifest:
    """Write the Deployment; where an autoscaler sets the replicas, it has none of its own."""
    timing = Timing.of(release.size, start=target.start_seconds, longest_request=target.longest_request)
    volumes = _volumes(target, release, maps, scripts_map(target, scripts.digest(programs)))
    replicas = {} if is_scaled else {"replicas": target.fewest_replicas}
    annotations = {RELEASE: release.digest}
    spec: Manifest = {
        **replicas,
        "revisionHistoryLimit": 5,
        "minReadySeconds": 10,
        "progressDeadlineSeconds": timing.progress_deadline,
        "strategy": _strategy(target),
        "selector": {"matchLabels": selector(target)},
        "template": {
            "metadata": {"labels": labels(target), "annotations": annotations},
            "spec": _pod(target, release, timing, version, volumes),
        },
    }
    return manifest("apps/v1", "Deployment", metadata(target, main_name(target), annotations), spec=spec)


def ends_only_pod(target: Target) -> bool:
    """Whether a rollout has to end the only pod before the next one serves."""
    return not target.spare and target.fewest_replicas == 1


def require_strategy(target: Target, *, allow_downtime: bool) -> None:
    """Raise InputError where a rollout is downtime, which has to be allowed."""
    if allow_downtime or not ends_only_pod(target):
        return
    raise InputError(
        f"{target.name}: a rollout of one replica without a spare ends the only pod before the next one serves",
        hint="spare = true where one more pod fits into the cluster, 2 replicas, or --allow-downtime.",
    )


def _strategy(target: Target) -> Manifest:
    if target.spare:
        return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    if target.most_replicas > 1:
        return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    return {"type": "Recreate"}


def _pod(
    target: Target, release: Release, timing: Timing, version: ClusterVersion, volumes: list[Manifest]
) -> Manifest:
    pull = [{"name": name} for name in target.secrets.image_pull]
    placement = {"nodeSelector": dict(target.node_selector), "tolerations": _tolerations(target)}
    return {
        "serviceAccountName": main_name(target),
        "automountServiceAccountToken": False,
        # Variables of the namespace's Services could look like settings of ours.
        "enableServiceLinks": False,
        **({"imagePullSecrets": pull} if pull else {}),
        **{name: found for name, found in placement.items() if found},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": timing.termination,
        "initContainers": [init_container(target, release)],
        "containers": [triton_container(target, release, timing, version)],
        "volumes": volumes,
    }


def _tolerations(target: Target) -> list[Manifest]:
    fields = (
        {
            "key": each.key,
            "operator": each.operator,
            "value": each.value,
            "effect": each.effect,
            "tolerationSeconds": each.seconds,
        }
        for each in target.tolerations
    )
    return [{name: value for name, value in each.items() if value is not None} for each in fields]


def _volumes(target: Target, release: Release, maps: Sequence[FilesMap], scripts_name: str) -> list[Manifest]:
    sources = [
        {"configMap": {"name": each.name, "items": [{"key": key, "path": path} for key, path in each.paths.items()]}}
        for each in maps
    ]
    volumes: list[Manifest] = [
        {"name": models_volume(target, release), **_models_source(target, release)},
        {"name": "release", "projected": {"sources": sources}},
        {"name": "scripts", "configMap": {"name": scripts_name}},
        # Python-based backends pass tensors through shared memory; it counts as memory of the container.
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": target.shared_memory}},
        {"name": "tmp", "emptyDir": {}},
    ]
    if ca := downloads(target, release).ca:
        volumes.append({"name": "ca", "configMap": {"name": ca.name, "items": [{"key": ca.key, "path": ca.key}]}})
    return volumes


def _models_source(target: Target, release: Release) -> Manifest:
    if release.models_image:
        return {"image": {"reference": release.models_image, "pullPolicy": "IfNotPresent"}}
    if target.claim:
        return {"persistentVolumeClaim": {"claimName": target.claim}}
    if target.host_path:
        # One that does not exist is an error: made by the kubelet, it would belong to root.
        return {"hostPath": {"path": target.host_path, "type": "Directory"}}
    return {"emptyDir": {}}
