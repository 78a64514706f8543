"""The two containers of a pod: the one that prepares the models, and Triton."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tritonops.kubernetes.manifests import scripts
from tritonops.kubernetes.manifests.names import Manifest
from tritonops.kubernetes.manifests.probes import probes
from tritonops.kubernetes.manifests.timing import CONNECTION_AGE, Timing
from tritonops.kubernetes.manifests.versions import ClusterVersion
from tritonops.kubernetes.release.release import FOLDER, Release
from tritonops.kubernetes.targets.target import Downloads, Key, Target

VOLUME = "/volume"
"""Where the init container finds the volume of models: one filesystem, so that its files can be linked."""
MODELS = "/models"
"""Where Triton finds the models of its release."""
CA_FOLDER = "/etc/tritonops-ca"
HTTP_PORT, GRPC_PORT, METRICS_PORT = 8000, 8001, 8002
_NO_RIGHTS = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def init_container(target: Target, release: Release) -> Manifest:
    """Write the container that downloads, verifies and checks the models, and ends; those of an image it verifies."""
    volume = models_volume(target, release)
    place = f"--models={MODELS}" if release.models_image else f"--volume={VOLUME}"
    command = ["python3", "-m", "tritonops.kubernetes.prepare", f"--release={FOLDER}", place]
    command += [f"--digest={release.digest}", f"--config={target.variant}", f"--image={target.image}"]
    mounts: list[Manifest] = [
        _image_mount(target, release) if release.models_image else {"name": volume, "mountPath": VOLUME},
        {"name": "release", "mountPath": str(FOLDER), "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 (the container's own)
    ]
    if downloads(target, release).ca:
        mounts.append({"name": "ca", "mountPath": CA_FOLDER, "readOnly": True})
    return {
        "name": "prepare",
        "image": target.init_image,
        "imagePullPolicy": "IfNotPresent",
        "command": [*command, f"--gpus={target.gpus}"],
        "env": _init_environment(target, release),
        **_resources(target, gpus=False),
        "volumeMounts": mounts,
        # The last lines of its output are the reason that `kubectl describe pod` shows.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _NO_RIGHTS,
    }


def triton_container(target: Target, release: Release, timing: Timing, version: ClusterVersion) -> Manifest:
    """Write Triton's container: it serves its release, all of it, and nothing else until it ends."""
    return {
        "name": "triton",
        "image": target.image,
        "imagePullPolicy": "IfNotPresent",
        # Arguments, so that the entry point of NVIDIA's image goes on checking the driver.
        "args": ["sh", f"{scripts.FOLDER}/{scripts.SERVE}", *_flags(timing)],
        "env": [_value("HOME", "/tmp"), *_secret("TRITON_TOKEN", target.secrets.triton_token)],  # noqa: S108
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in (("http", HTTP_PORT), ("grpc", GRPC_PORT), ("metrics", METRICS_PORT))
        ],
        **_resources(target, gpus=True),
        **probes(release, timing),
        "lifecycle": {"preStop": _pre_stop(timing, version)},
        "volumeMounts": [
            _image_mount(target, release) if release.models_image else _volume_mount(target, release),
            {"name": "scripts", "mountPath": scripts.FOLDER, "readOnly": True},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
        "securityContext": _NO_RIGHTS,
    }


def downloads(target: Target, release: Release) -> Downloads:
    """Give the routes to the sources of models: none where an image has the models."""
    return Downloads() if release.models_image else target.downloads


def models_volume(target: Target, release: Release) -> str:
    """Name the volume of the models by its kind, which a volume of one name cannot change.

    Server-side apply does not take an empty `emptyDir: {}` back, and the API server refuses a volume of two kinds.
    """
    if release.models_image:
        return "models-image"
    return "models-claim" if target.claim else "models-node" if target.host_path else "models"


def _volume_mount(target: Target, release: Release) -> Manifest:
    path = f"releases/{release.digest}/triton"
    return {"name": models_volume(target, release), "mountPath": MODELS, "subPath": path, "readOnly": True}


def _image_mount(target: Target, release: Release) -> Manifest:
    """Mount the image for both containers at one place: Triton serves what was verified."""
    return {"name": models_volume(target, release), "mountPath": MODELS, "readOnly": True}


def _flags(timing: Timing) -> list[str]:
    """A pod serves its release whole or is not ready, and no client can change what it serves."""
    return [
        f"--model-repository={MODELS}",
        "--model-control-mode=none",
        "--exit-on-error=false",
        "--disable-auto-complete-config",
        "--strict-readiness=true",
        f"--exit-timeout-secs={timing.exit_timeout}",
        f"--grpc-max-connection-age={CONNECTION_AGE * 1000}",
        f"--grpc-max-connection-age-grace={timing.connection_grace * 1000}",
    ]


def _pre_stop(timing: Timing, version: ClusterVersion) -> Manifest:
    if version.has((1, 34), "the sleep action of preStop, in whose place the container runs `sleep`"):
        return {"sleep": {"seconds": timing.pre_stop}}
    return {"exec": {"command": ["sleep", str(timing.pre_stop)]}}


def _resources(target: Target, *, gpus: bool) -> Manifest:
    """The same for both containers, which never run at once: a pod asks for the larger of the two."""
    memory = {"memory": target.memory} if target.memory else {}
    requests = {**({"cpu": target.cpu} if target.cpu else {}), **memory}
    # A quantity is a string: server-side apply of old clusters refuses a number.
    limits: dict[str, Any] = {**memory, **({target.gpu_resource: str(target.gpus)} if gpus and target.gpus else {})}
    found = {name: values for name, values in (("requests", requests), ("limits", limits)) if values}
    return {"resources": found} if found else {}


def _init_environment(target: Target, release: Release) -> list[Manifest]:
    routes = downloads(target, release)
    values: Mapping[str, str | None] = {
        "HOME": "/tmp",  # noqa: S108
        "HF_ENDPOINT": routes.hf_endpoint,
        "HTTPS_PROXY": routes.https_proxy,
        "HTTP_PROXY": routes.http_proxy,
        "NO_PROXY": routes.no_proxy,
        "SSL_CERT_FILE": f"{CA_FOLDER}/{routes.ca.key}" if routes.ca else None,
    }
    given = [_value(name, value) for name, value in values.items() if value is not None]
    return [*given, *_secret("HF_TOKEN", None if release.models_image else target.secrets.hf_token)]


def _value(name: str, value: str) -> Manifest:
    return {"name": name, "value": value}


def _secret(name: str, key: Key | None) -> list[Manifest]:
    if key is None:
        return []
    return [{"name": name, "valueFrom": {"secretKeyRef": {"name": key.name, "key": key.key}}}]
