"""Images, as `docker image inspect` shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tritonops.compose.engine.docker import Docker
from tritonops.compose.engine.known_failures import known_failure
from tritonops.errors import DockerError, InputError


def inspect_image(docker: Docker, image: str) -> Mapping[str, Any] | None:
    """Inspect an image of this machine by any of its names, digests or ids; None where it is not here."""
    attempt = docker.attempt(["docker", "image", "inspect", image])
    if attempt.code == 0:
        found: Mapping[str, Any] = json.loads(attempt.stdout)[0]
        return found
    if "invalid reference format" in attempt.stderr:
        raise InputError(f"{image!r} is not the name of an image: {attempt.stderr.strip()}")
    if "no such image" in attempt.stderr.lower():
        return None
    raise known_failure(attempt.stderr) or DockerError(f"the image {image}: {attempt.stderr.strip()}")


def platforms(docker: Docker, image: str) -> str:
    """Say for which platform the image is, and which one the engine has."""
    found: Mapping[str, Any] = inspect_image(docker, image) or {}
    engine = json.loads(docker.output(["docker", "version", "--format", "{{json .ServedContainer}}"]))
    its = f"{found.get('Os')}/{found.get('Architecture')}"
    return f"the image {image} is for {its}, the engine's machine is {engine['Os']}/{engine['Arch']}"
