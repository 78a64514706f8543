"""The image of a service: pulled or built where it is not here."""

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
    """Pull or build the image where Compose would do it: it is not here, or the files want it each time.

    `build` builds it in any case, where the files say how. Raises ImagePullError and DockerError.
    """
    image = definition.image
    is_here = inspect_image(docker, image) is not None
    if definition.is_built:
        if build or not is_here or definition.pull_policy == "build":
            watch(f"building the image {image}")
            docker.watch(compose.build(), watch)
    elif not is_here or definition.pull_policy == "always":
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
    image = definition.image
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


def _hint(image: str) -> str:
    if image.split(":")[0] == CPU_IMAGE:
        return "Build it: `inv compose.build-cpu`."
    return (
        "Is TRITON_IMAGE right, and the registry within reach (`docker login`)? "
        f"For a small CPU image: `inv compose.build-cpu`, and TRITON_IMAGE={CPU_IMAGE}."
    )
