"""Images, as `docker image inspect` shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tritonops.compose.engine.docker import Docker
from tritonops.compose.engine.known_failures import known_failure
from tritonops.errors import DockerError, InputError


def inspect_image(docker: Docker, image: str) -> Mapping[str, Any] | None:
    """Inspect a local image by name, digest or id; None if there is none."""
    attempt = docker.attempt(["docker", "image", "inspect", image])
    if attempt.code == 0:
        found: Mapping[str, Any] = json.loads(attempt.stdout)[0]
        return found
    if "invalid reference format" in attempt.stderr:
        raise InputError(f"{image!r} is not an image name: {attempt.stderr.strip()}")
    if "no such image" in attempt.stderr.lower():
        return None
    raise known_failure(attempt.stderr) or DockerError(f"the image {image}: {attempt.stderr.strip()}")


def platforms(docker: Docker, image: str) -> str:
    """Describe the platforms of the image and of the engine."""
    found: Mapping[str, Any] = inspect_image(docker, image) or {}
    engine = json.loads(docker.output(["docker", "version", "--format", "{{json .Server}}"]))
    platform = f"{found.get('Os')}/{found.get('Architecture')}"
    return f"the image {image} is for {platform}, the engine's machine is {engine['Os']}/{engine['Arch']}"
