"""The names and labels of a target's objects: no two targets share one, whatever they are called.

Each name begins with the target's and ends in a suffix of its kind; a digest, where there is one, is hexadecimal, which
no suffix is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tritonops.kubernetes.targets.target import Target

Manifest = dict[str, Any]
"""One object, as the API takes it."""
PREFIX = "tritonops/"
"""Of our annotations."""
RELEASE = "tritonops/release"
"""The annotation with a release's digest."""
CUSTOM_KINDS = "tritonops/custom-kinds"
"""The annotation of the Deployment with the kinds of custom resources that a deploy ever applied for it."""
DIGEST_LENGTH = 10
_APP = "app.kubernetes.io"


def main_name(target: Target) -> str:
    """Name the Deployment, the Service of clients, and what else there is one of."""
    return f"{target.name}-triton"


def pods_service(target: Target) -> str:
    """Name the headless Service."""
    return f"{main_name(target)}-pods"


def scripts_map(target: Target, digest: str) -> str:
    """Name the ConfigMap of the shell programs."""
    return f"{main_name(target)}-scripts-{digest[:DIGEST_LENGTH]}"


def files_map(target: Target, digest: str, number: int) -> str:
    """Name one ConfigMap of a release's files; they are counted from 1."""
    return f"{main_name(target)}-files-{digest[:DIGEST_LENGTH]}-{number}"


def is_own_name(target: Target, name: str) -> bool:
    """Whether a render gives this name to an object of the target."""
    numbered = re.fullmatch(rf"{main_name(target)}-(scripts-[0-9a-f]+|files-[0-9a-f]+-\d+)", name)
    return numbered is not None or name in (main_name(target), pods_service(target))


def client_label(target: Target) -> str:
    """Name the label of pods that may call the target."""
    return f"{main_name(target)}-client"


def selector(target: Target) -> dict[str, str]:
    """Give the labels that select the target's pods, and no other."""
    return {f"{_APP}/name": "triton", f"{_APP}/instance": target.name}


def labels(target: Target) -> dict[str, str]:
    """Give the labels of every object: by them all of a target is found."""
    return {**selector(target), f"{_APP}/managed-by": "tritonops", **target.labels}


def metadata(target: Target, name: str, annotations: Mapping[str, str] | None = None) -> Manifest:
    """Write the metadata of an object."""
    found: Manifest = {"name": name, "namespace": target.namespace, "labels": labels(target)}
    return {**found, "annotations": dict(annotations)} if annotations else found


def manifest(api_version: str, kind: str, found: Manifest, **parts: Any) -> Manifest:
    """Write an object: its kind, its metadata and the rest."""
    return {"apiVersion": api_version, "kind": kind, "metadata": found, **parts}
