"""Pull or build a missing image of a service."""

from __future__ import annotations

from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.compose.commands import Compose
from tritonops.compose.definition import Definition
from tritonops.compose.engine.docker import Docker, Watch
from tritonops.compose.engine.image import inspect_image
from tritonops.errors import DockerError, DockerTimeoutError, EngineUnreachableError, ImagePullError


def provide_image(
    docker: Docker,
    compose: Compose,
    definition: Definition,
    *,
    watch: Watch,
    timeout: float,
    interactive: bool,
    build: bool = False,
) -> None:
    """Pull or build the image if Compose would: it is missing, or the files require it each time.

    `build` always builds, if the files have a build section. Raises ImagePullError and DockerError.
    """
    image = definition.image
    is_local = inspect_image(docker, image) is not None
    if definition.is_built:
        if build or not is_local or definition.pull_policy == "build":
            watch(f"building the image {image}")
            docker.watch(compose.build(), watch)
    elif not is_local or definition.pull_policy == "always":
        if definition.pull_policy in ("never", "build"):
            hint = "`docker pull` it, or remove `pull_policy` from the service."
            raise ImagePullError(image, f"pull_policy is {definition.pull_policy}", hint=hint)
        pull(docker, compose, definition, watch=watch, timeout=timeout, interactive=interactive)


def pull(
    docker: Docker, compose: Compose, definition: Definition, *, watch: Watch, timeout: float | None, interactive: bool
) -> None:
    """Pull the image; `interactive` draws progress at the terminal.

    Raises ImagePullError with the registry's message, also after `timeout` seconds.
    """
    image = definition.image
    watch(f"pulling the image {image}")
    lines: list[str] = []

    def record(line: str) -> None:
        lines.append(line)
        watch(line)

    try:
        if interactive:
            docker.show(compose.pull(), timeout=timeout)
        else:
            docker.watch(compose.pull(), record, timeout=timeout)
    except EngineUnreachableError:
        raise
    except DockerTimeoutError as exc:
        reason = f"the registry did not deliver it within {timeout:g} s"
        raise ImagePullError(image, reason, hint=_hint(image)) from exc
    except DockerError as exc:
        raise ImagePullError(image, str(exc), hint=_hint(image)) from exc


def _hint(image: str) -> str:
    if image.split(":")[0] == CPU_IMAGE:
        return "Build it: `inv compose.build-cpu`."
    return (
        "Is TRITON_IMAGE correct, and the registry reachable (`docker login`)? "
        f"For a small CPU image: `inv compose.build-cpu`, and TRITON_IMAGE={CPU_IMAGE}."
    )
