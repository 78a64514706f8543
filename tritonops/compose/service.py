"""The Compose service on this machine: up, down, logs, containers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tritonops.compose.commands import CPU_FILE, GPU_FILE, SERVICE, Compose
from tritonops.compose.definition import Definition
from tritonops.compose.depends_on import start_dependencies
from tritonops.compose.engine.container import Container
from tritonops.compose.engine.docker import Docker, Watch
from tritonops.compose.engine.models_mount import leaving_link, refuse_leaving_links
from tritonops.compose.interruption import interruptible
from tritonops.compose.ownership import find_containers, require_ours
from tritonops.compose.pull import provide_image
from tritonops.compose.pull import pull as pull_image
from tritonops.compose.replacement import Replacement
from tritonops.compose.serving import ServingResult, describe
from tritonops.errors import (
    ComposeMissingError,
    DockerError,
    DockerMissingError,
    InputError,
    ServiceError,
    TokenRefusedError,
    TritonOpsError,
)
from tritonops.file_lock import OnWait, locked
from tritonops.project import Project
from tritonops.settings import Settings
from tritonops.triton.startup.exclude_file import ExcludeFile

UP_TIMEOUT = 600.0


@dataclass(frozen=True)
class Service:
    """One service of the Compose files, its models directory and its token."""

    docker: Docker
    compose: Compose
    folder: Path
    """Compose's project directory."""
    models_dir: Path
    token: str | None = None

    @classmethod
    def of(cls, project: Project, *, cpu: bool = False, name: str = SERVICE) -> Service:
        """Choose the Compose files: ml.yml with `cpu`, or else COMPOSE_FILE if it is set, or docker-compose.yml.

        A relative COMPOSE_FILE starts at the caller's folder if the environment sets it, at the project if .env does.
        """
        settings = project.settings
        folder = None if cpu else settings.environment.compose_folder
        files = () if folder else (settings.project / (CPU_FILE if cpu else GPU_FILE),)
        docker = Docker(folder or settings.project, _variables(settings))
        compose = Compose(files, name, _profiles(settings))
        project_folder = (settings.environment.compose_project_folder if folder else None) or settings.project
        return cls(docker, compose, project_folder, settings.models_dir, settings.triton_token)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The merged files, with the services of every profile. Raises InputError for invalid files."""
        try:
            output = self.docker.output(self.compose.config())
        except (DockerMissingError, ComposeMissingError):
            raise
        except DockerError as exc:
            raise InputError(str(exc), hint=exc.hint) from exc
        config: Mapping[str, Any] = json.loads(output)
        return config

    @cached_property
    def definition(self) -> Definition:
        """The service in the merged files. Raises InputError if there is none of that name."""
        return Definition.of(self.config, self.compose.service)

    @cached_property
    def commands(self) -> Compose:
        """The commands with the profiles that Compose enables: the given ones, and those of the service."""
        return self.compose.with_profiles(*self.definition.profiles)

    @cached_property
    def services(self) -> Mapping[str, Any]:
        """The services that these profiles enable."""
        enabled = set(self.commands.profiles)
        return {
            name: service
            for name, service in self.config["services"].items()
            if not service.get("profiles") or "*" in enabled or enabled & set(service["profiles"])
        }

    @cached_property
    def models_folder(self) -> Path | None:
        """The folder of this machine that Compose mounts; None for a volume or another machine's folder."""
        source = self.definition.models_source
        return source if source and source.is_dir() else None

    def containers(self) -> list[Container]:
        """List its containers, the newest first. Raises InputError for one of another folder."""
        found = find_containers(self.docker, self.definition)
        require_ours(found, self.folder, self.definition.models_source)
        return found

    def as_created(self) -> Service:
        """Give the service in the project of its container, which has another name after an upgrade."""
        projects = {container.project for container in find_containers(self.docker, self.definition)}
        if not projects or self.definition.project in projects:
            return self
        variables = {**self.docker.variables, "COMPOSE_PROJECT_NAME": projects.pop()}
        return replace(self, docker=replace(self.docker, variables=variables))


def _variables(settings: Settings) -> dict[str, str]:
    """Give the set variables, so that Compose reads a relative path, an address or an env file as we do."""
    variables = settings.environment.for_compose()
    checked = {"TRITON_MODELS_DIR": str(settings.models_dir), "TRITON_BIND": settings.bind}
    return variables | {name: value for name, value in checked.items() if variables.get(name)}


def _profiles(settings: Settings) -> tuple[str, ...]:
    given = settings.environment.get("COMPOSE_PROFILES")
    named = given.value.split(",") if given else []
    return tuple(filter(None, map(str.strip, named)))


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
    service: Service,
    *,
    watch: Watch,
    timeout: float = UP_TIMEOUT,
    model_timeout: float | None = None,
    interactive: bool = False,
    recreate: bool = False,
    build: bool = False,
) -> ServingResult:
    """Start Triton, and wait until it has tried to load every model.

    A missing image is pulled or built. A container is replaced if its settings, image or token changed, and always
    with `recreate`. The old one is kept until the new one serves; a failure or a signal rolls back to it, and `watch`
    gets a line with what serves then. A model that hangs or crashes the start is left out; one load may take
    `model_timeout` seconds (default: 60, more for large files). Raises ServiceError with the end of the log.
    """
    service.docker.require_compose()
    service.containers()
    try:
        service.definition.require_single()
        service.definition.require_reachable(service.docker.machine)
        service.definition.require_closed_network(service.token)
        if service.models_folder:
            refuse_leaving_links(service.models_folder, below_models=False)
        with _changing(service, watch=watch, timeout=timeout, model_timeout=model_timeout) as replacement:
            provide_image(
                service.docker,
                service.commands,
                service.definition,
                watch=watch,
                timeout=timeout,
                interactive=interactive,
                build=build,
            )
            start_dependencies(service.docker, service.commands, service.services, watch=watch, timeout=timeout)
            if folder := service.models_folder:
                ExcludeFile(folder).refresh(lambda name: leaving_link(folder / name))
            try:
                return replacement.up(recreate=recreate)
            except TokenRefusedError:  # Compose does not notice a changed secret
                if recreate:
                    raise
                return replacement.up(recreate=True)
    except BaseException:
        with suppress(TritonOpsError):
            watch(describe(service.docker, service.definition, service.token))
        raise


def settle(service: Service, *, watch: Watch) -> None:
    """Finish or roll back a killed replacement; if another command is changing the service, only report that."""
    containers = service.containers()
    if len(containers) < 2 and not any(container.is_previous for container in containers):
        return
    try:
        with _changing(service, watch=watch, timeout=UP_TIMEOUT, on_wait=_raise_busy) as replacement:
            replacement.settle(wait=False)
    except _BusySignal as exc:
        watch(f"{exc} is replacing the container")


def down(service: Service, *, watch: Watch) -> None:
    """Stop the container once in-flight requests are answered, and remove it."""
    service.docker.require_compose()
    service.containers()
    service = service.as_created()
    with _changing(service, watch=watch, timeout=UP_TIMEOUT):
        service.docker.watch(service.commands.remove(), watch)


def pull(service: Service, *, watch: Watch, timeout: float | None = None, interactive: bool = False) -> None:
    """Pull the image; `interactive` draws progress at the terminal. Raises ImagePullError."""
    pull_image(
        service.docker, service.commands, service.definition, watch=watch, timeout=timeout, interactive=interactive
    )


def containers(service: Service) -> list[ContainerStatus]:
    """List the containers of the service, including stopped ones."""
    service = service.as_created()
    found = service.docker.output(service.commands.ps()).strip()
    # One object a line since Compose 2.21, one list before.
    rows = json.loads(found) if found.startswith("[") else [json.loads(line) for line in found.splitlines()]
    return [
        ContainerStatus(row["Name"], row["Image"], row["State"], row.get("Health") or None, _published(row))
        for row in rows
    ]


def logs(
    service: Service, *, watch: Watch, follow: bool = False, tail: int | None = None, since: str | None = None
) -> None:
    """Pass on Triton's log line by line. Raises ServiceError without a container."""
    found = find_containers(service.docker, service.definition)
    if not found:
        raise ServiceError(f"there is no container of {service.definition.name}", hint="To create one: inv compose.up")
    if found[0].logging_driver == "none":
        raise ServiceError(f"Docker keeps no log of {found[0].name}: its logging driver is none")
    service = service.as_created()
    service.docker.watch(service.commands.logs(follow=follow, tail=tail, since=since), watch)


class _BusySignal(Exception):  # noqa: N818 (a signal to `settle`, never shown as an error)
    """Another command is changing the service; the message names its process."""


def _raise_busy(owner: str) -> None:
    raise _BusySignal(owner)


@contextmanager
def _changing(
    service: Service,
    *,
    watch: Watch,
    timeout: float,
    model_timeout: float | None = None,
    on_wait: OnWait | None = None,
) -> Iterator[Replacement]:
    """Allow one process at a time to change the containers; others wait, and name the lock owner."""
    definition = service.definition

    def tell(owner: str) -> None:
        watch(f"waiting for {owner}, which is changing {definition.name} of {definition.project}")

    with locked(_lock_path(service), on_wait=on_wait or tell), interruptible(watch) as interruption:
        yield Replacement(
            service.docker,
            service.commands,
            definition,
            service.models_folder,
            service.token,
            watch,
            timeout,
            interruption,
            model_timeout,
        )


def _lock_path(service: Service) -> Path:
    """Give the lock of the service, the same for all users, models folders and TMPDIRs."""
    return Path("/tmp") / f"tritonops-{service.definition.project}-{service.definition.name}.lock"  # noqa: S108


def _published(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"{port['URL']}:{port['PublishedPort']}->{port['TargetPort']}"
        for port in row.get("Publishers") or ()
        if port["PublishedPort"]
    )
