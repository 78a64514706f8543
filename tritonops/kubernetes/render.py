"""From kubernetes.toml and models.toml to manifests, without a cluster: the same input gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import InputError
from tritonops.kubernetes.manifests.availability import autoscaler, disruption_budget
from tritonops.kubernetes.manifests.config_maps import release_maps, scripts_config_map
from tritonops.kubernetes.manifests.deployment import deployment, require_strategy
from tritonops.kubernetes.manifests.folder import folder_files, write_folder
from tritonops.kubernetes.manifests.monitoring import pod_monitor
from tritonops.kubernetes.manifests.names import Manifest, main_name, manifest, metadata
from tritonops.kubernetes.manifests.scripts import scripts
from tritonops.kubernetes.manifests.services import network_policy, services
from tritonops.kubernetes.manifests.versions import ClusterVersion
from tritonops.kubernetes.manifests.yaml_text import yaml_documents
from tritonops.kubernetes.release.contents import read_release
from tritonops.kubernetes.release.release import Release
from tritonops.kubernetes.targets.target import Target
from tritonops.project import Project

_MAX_OBJECT = 1_000_000
"""Bytes of an object: etcd takes 1.5 MiB, and a ReplicaSet has the pod's template too."""


@dataclass(frozen=True)
class RenderedTarget:
    """The objects of one target."""

    target: Target
    release: Release
    objects: tuple[Manifest, ...]
    """In the order in which they are applied."""
    left_out: tuple[str, ...]
    """What the version of Kubernetes does not know."""
    files_maps: int
    """How many ConfigMaps have the release's files."""


def render(
    project: Project, target: Target, version: ClusterVersion, *, allow_downtime: bool = False
) -> RenderedTarget:
    """Render what a target's namespace has to have.

    Raises InputError, and PartialFailureError with exit code 2 that names each model that cannot be rendered.
    """
    require_strategy(target, allow_downtime=allow_downtime)
    release = read_release(project, target, has_image_volumes=_has_image_volumes(target, version))
    maps, programs = release_maps(target, release), scripts(release.expected)
    scaler = autoscaler(target, version)
    objects = (
        _service_account(target),
        *(each.manifest for each in maps),
        scripts_config_map(target, programs),
        *services(target),
        network_policy(target, version),
        deployment(target, release, maps, programs, version, is_scaled=bool(scaler)),
        *disruption_budget(target, version),
        *scaler,
        *pod_monitor(target, version),
    )
    _require_size(target, objects)
    return RenderedTarget(target, release, objects, tuple(version.left_out), len(maps))


def stream(rendered: Sequence[RenderedTarget]) -> str:
    """Write all objects as one YAML stream. Raises InputError for a target with a patch, which kustomize applies."""
    for each in rendered:
        if each.target.patch:
            raise InputError(
                f"{each.target.name} has a patch, which a stream would lack",
                hint="--output FOLDER writes a kustomization with it; `kubectl kustomize FOLDER` shows the result.",
            )
    return yaml_documents([found for each in rendered for found in each.objects])


def write(rendered: RenderedTarget, output: Path) -> tuple[Path, bool]:
    """Write a target's folder below `output`; give its path, and whether anything changed."""
    folder = output / rendered.target.name
    return folder, write_folder(folder, folder_files(rendered.objects, rendered.target.patch))


def _has_image_volumes(target: Target, version: ClusterVersion) -> bool:
    if target.models_image is None:
        return False
    return version.has((1, 35), "the image volume of models_image, in whose place pods download their models")


def _service_account(target: Target) -> Manifest:
    """Triton calls no API of the cluster: the account has no token."""
    found = metadata(target, main_name(target))
    return manifest("v1", "ServiceAccount", found, automountServiceAccountToken=False)


def _require_size(target: Target, objects: Sequence[Manifest]) -> None:
    for each in objects:
        if each["kind"] != "ConfigMap" and (size := len(json.dumps(each))) > _MAX_OBJECT:
            raise InputError(
                f"{target.name}: the {each['kind']} would have {size:,} bytes, and a cluster takes {_MAX_OBJECT:,}",
                hint="`hosts` of models.toml and several targets divide the models.",
            )
