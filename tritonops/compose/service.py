"""The Compose service on this machine: up until every model is loaded, down, and what it wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tritonops.compose.commands import CPU_FILE, GPU_FILE, SERVICE, Compose
from tritonops.compose.engine import Docker, Watch
from tritonops.compose.image import CPU_IMAGE
from tritonops.errors import (
    DockerError,
    ImagePullError,
    InputError,
    ServiceError,
    TokenRefusedError,
    near_misses,
)
from tritonops.models.repository import Repository
from tritonops.settings import Settings
from tritonops.triton.client import ModelStatus, connect
from tritonops.triton.disk import Disk
from tritonops.triton.served import settled_index, with_reasons
from tritonops.triton.waiting import Deadline

UP_TIMEOUT = 600.0
_LOG_LINES = 15


@dataclass(frozen=True)
class Service:
    """One service of some Compose files, the models directory that it serves, and its token."""

    docker: Docker
    compose: Compose
    models_dir: Path
    token: str | None = None

    @classmethod
    def of(cls, settings: Settings, *, cpu: bool = False, name: str = SERVICE) -> Service:
        """Choose the Compose files: ml.yml with `cpu`; otherwise a set COMPOSE_FILE, or docker-compose.yml.

        A relative COMPOSE_FILE starts where it was set: at the caller's folder, or at the project with its .env.
        """
        folder = None if cpu else settings.environment.compose_folder
        files = () if folder else (settings.project / (CPU_FILE if cpu else GPU_FILE),)
        docker = Docker(folder or settings.project, _variables(settings))
        return cls(docker, Compose(files, name), settings.models_dir, settings.triton_token)


def _variables(settings: Settings) -> dict[str, str]:
    """What was set, so that a relative path, an address or an env file means to Compose what it means to us."""
    variables = settings.environment.for_compose()
    checked = {"TRITON_MODELS_DIR": str(settings.models_dir), "TRITON_BIND": settings.bind}
    return variables | {name: value for name, value in checked.items() if variables.get(name)}


@dataclass(frozen=True)
class Served:
    """A Triton that is up: where it listens for gRPC, and its models, each with the reason where it is not served."""

    url: str
    models: tuple[ModelStatus, ...]
    errors: tuple[str, ...]
    """The last errors of its log."""


@dataclass(frozen=True)
class ContainerStatus:
    """A container of the service."""

    name: str
    image: str
    state: str
    """In Docker's words: running, exited, restarting."""
    health: str | None
    """starting, healthy or unhealthy."""
    ports: tuple[str, ...]


def up(
    service: Service, *, watch: Watch, timeout: float = UP_TIMEOUT, interactive: bool = False, recreate: bool = False
) -> Served:
    """Start Triton and wait until it has tried to load every model.

    A missing image is fetched. A container is made anew where its settings changed or it was made with another token,
    and with `recreate` always. Raises ServiceError with the end of the log where Triton does not come up.
    """
    image = _image(service)
    if image and not _is_here(service, image):
        pull(service, interactive=interactive)
    service.docker.watch(service.compose.up(recreate=recreate), watch)
    try:
        return _wait_until_loaded(service, timeout=timeout)
    except TokenRefusedError:  # Compose does not see that a secret changed
        if recreate:
            raise
        return up(service, watch=watch, timeout=timeout, recreate=True)


def down(service: Service, *, watch: Watch) -> None:
    """Stop the container once requests under way are answered, and remove it."""
    service.docker.watch(service.compose.down(), watch)


def pull(service: Service, *, interactive: bool = False) -> None:
    """Fetch the image, if it is one to fetch; `interactive` draws progress at the terminal. Raises ImagePullError."""
    image = _image(service) or "of the service"
    command = service.compose.pull(quiet=not interactive)
    try:
        service.docker.show(command) if interactive else service.docker.output(command)
    except DockerError as exc:
        raise ImagePullError(image, str(exc), hint=_pull_hint(image)) from exc


def containers(service: Service) -> list[ContainerStatus]:
    """List the containers of the service, stopped ones too."""
    found = service.docker.output(service.compose.ps()).strip()
    # One object a line since Compose 2.21, one list before.
    rows = json.loads(found) if found.startswith("[") else [json.loads(line) for line in found.splitlines()]
    return [
        ContainerStatus(row["Name"], row["Image"], row["State"], row.get("Health") or None, _published(row))
        for row in rows
    ]


def logs(
    service: Service, *, watch: Watch, follow: bool = False, tail: int | None = None, since: str | None = None
) -> None:
    """Pass on what Triton wrote, line by line; ServiceError where there is no container."""
    _container(service)
    service.docker.watch(service.compose.logs(follow=follow, tail=tail, since=since), watch)


def _image(service: Service) -> str | None:
    """Ask Compose for the image, None where the files build it, and find out whether there is such a service."""
    services = json.loads(service.docker.output(service.compose.config()))["services"]
    if service.compose.service not in services:
        raise InputError(
            f"the Compose files have no service {service.compose.service!r}",
            hint=near_misses(service.compose.service, services),
        )
    image: str | None = services[service.compose.service].get("image")
    return image


def _is_here(service: Service, image: str) -> bool:
    found = service.docker.output(["docker", "image", "ls", "--quiet", image])
    return bool(found.strip())


def _pull_hint(image: str) -> str:
    if image.split(":")[0] == CPU_IMAGE:
        return "Build it: `inv compose.build-cpu`."
    return (
        "Is TRITON_IMAGE right, and the registry within reach (`docker login`)? "
        f"For a small CPU image: `inv compose.build-cpu`, and TRITON_IMAGE={CPU_IMAGE}."
    )


def _wait_until_loaded(service: Service, *, timeout: float) -> Served:
    container = _container(service)
    deadline = Deadline.after(timeout)
    with connect(_grpc_url(service, container), token=service.token) as client:
        for _ in deadline.polls():
            index = settled_index(client)
            if index is not None:
                return _served(service, client.url, container, index)
            _require_running(service, container)
    raise _not_up(service, container, f"it was not ready after {timeout:g} s")


def _served(service: Service, url: str, container: Mapping[str, Any], index: list[ModelStatus]) -> Served:
    started = container["State"]["StartedAt"]
    Disk.of(service.models_dir, url).forget_before(datetime.fromisoformat(started).timestamp())
    log = _log(service, container, tail=5000, since=started)
    rows = with_reasons(index, Repository(service.models_dir).enabled_names(), log)
    errors = [line for line in log.splitlines() if re.match(r"E\d{4} ", line)]
    return Served(url, tuple(rows), tuple(errors[-_LOG_LINES:]))


def _container(service: Service) -> Mapping[str, Any]:
    """Inspect the container; ServiceError where there is none."""
    found = service.docker.output(service.compose.container()).split()
    if not found:
        raise ServiceError(f"there is no container of {service.compose.service}", hint="`inv compose.up` makes one.")
    return _inspect(service, found[0])


def _inspect(service: Service, container_id: str) -> Mapping[str, Any]:
    inspected: list[Mapping[str, Any]] = json.loads(service.docker.output(["docker", "inspect", container_id]))
    return inspected[0]


def _require_running(service: Service, container: Mapping[str, Any]) -> None:
    now = _inspect(service, container["Id"])
    if now["State"]["Status"] != "running" or now["RestartCount"] != container["RestartCount"]:
        raise _not_up(service, now, f"it ended with exit code {now['State']['ExitCode']}")


def _grpc_url(service: Service, container: Mapping[str, Any]) -> str:
    _require_running(service, container)
    published = container["NetworkSettings"]["Ports"].get("8001/tcp")
    if not published:
        raise InputError(
            f"the service {service.compose.service} publishes no port for gRPC, 8001 in the container",
            hint="tritonops controls Triton over gRPC: publish it, on 127.0.0.1.",
        )
    host, port = published[0]["HostIp"], published[0]["HostPort"]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{reachable}]:{port}" if ":" in reachable else f"{reachable}:{port}"


def _not_up(service: Service, container: Mapping[str, Any], problem: str) -> ServiceError:
    log = _log(service, container, tail=_LOG_LINES)
    return ServiceError(
        f"Triton did not come up: {problem}. Its log ends:\n{log}", hint="All of it: `inv compose.logs`"
    )


def _log(service: Service, container: Mapping[str, Any], *, tail: int, since: str | None = None) -> str:
    lines: list[str] = []
    options = ["--tail", str(tail), *(["--since", since] if since else [])]
    service.docker.watch(["docker", "logs", *options, container["Id"]], lines.append)
    return "\n".join(lines)


def _published(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"{port['URL']}:{port['PublishedPort']}->{port['TargetPort']}"
        for port in row.get("Publishers") or ()
        if port["PublishedPort"]
    )
