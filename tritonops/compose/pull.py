"""The image of a service or of a build: is it here, and fetching it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tritonops.compose.commands import Compose
from tritonops.compose.definition import Definition
from tritonops.compose.engine import Docker, Watch
from tritonops.compose.image import CPU_IMAGE, inspect_image
from tritonops.errors import DockerError, DockerTimeoutError, EngineUnreachableError, ImagePullError


def pull_missing(
    docker: Docker, compose: Compose, definition: Definition, *, watch: Watch, timeout: float, interactive: bool
) -> None:
    """Fetch the image where Compose would: it is not here or should always be fetched, and nothing builds it."""
    image = definition.image
    if image is None or definition.is_built:
        return
    if inspect_image(docker, image) is not None and definition.pull_policy != "always":
        return
    if definition.pull_policy in ("never", "build"):
        hint = "`docker pull` it, or remove `pull_policy` from the service."
        raise ImagePullError(image, f"pull_policy is {definition.pull_policy}", hint=hint)
    pull(docker, compose, definition, watch=watch, timeout=timeout, interactive=interactive)


def pull(
    docker: Docker, compose: Compose, definition: Definition, *, watch: Watch, timeout: float | None, interactive: bool
) -> None:
    """Fetch the image, if it is one to fetch; `interactive` draws progress at the terminal.

    Raises ImagePullError with the registry's own words, also where it does not answer within `timeout`.
    """
    image = definition.image or "of the service"
    watch(f"pulling the image {image}")
    lines: list[str] = []

    def note(line: str) -> None:
        lines.append(line)
        watch(line)

    try:
        if interactive:
            docker.show(compose.pull(), timeout=timeout)
        else:
            docker.watch(compose.pull(), note, timeout=timeout)
    except EngineUnreachableError:
        raise
    except DockerTimeoutError as exc:
        reason = f"the registry did not deliver it within {timeout:g} s"
        raise ImagePullError(image, reason, hint=_hint(image)) from exc
    except DockerError as exc:
        raise ImagePullError(image, str(exc), hint=_hint(image)) from exc


def platforms(docker: Docker, image: str) -> str:
    """Say for which platform the image is, and which one the engine has."""
    found: Mapping[str, Any] = inspect_image(docker, image) or {}
    engine = json.loads(docker.output(["docker", "version", "--format", "{{json .Server}}"]))
    its = f"{found.get('Os')}/{found.get('Architecture')}"
    return f"the image {image} is for {its}, the engine's machine is {engine['Os']}/{engine['Arch']}"


def _hint(image: str) -> str:
    if image.split(":")[0] == CPU_IMAGE:
        return "Build it: `inv compose.build-cpu`."
    return (
        "Is TRITON_IMAGE right, and the registry within reach (`docker login`)? "
        f"For a small CPU image: `inv compose.build-cpu`, and TRITON_IMAGE={CPU_IMAGE}."
    )
