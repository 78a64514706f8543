"""Try a release in a second container, with its models and on free ports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tritonops.compose.engine.container import Container, inspect
from tritonops.compose.engine.docker import Watch
from tritonops.compose.ownership import find_containers
from tritonops.compose.pull import provide_image
from tritonops.compose.service import UP_TIMEOUT, Service
from tritonops.compose.serving import ServedContainer, ServingResult
from tritonops.compose.start_check import probe

_GRPC_PORT = "127.0.0.1::8001"


def require_startable(service: Service, *, watch: Watch) -> None:
    """Pull or build the image, and check in a temporary container that it starts with the current settings.

    Raises the error of docker's failure; the container that serves is not changed.
    """
    service.docker.require_compose()
    service.definition.require_single()
    docker, compose, definition = service.docker, service.commands, service.definition
    provide_image(docker, compose, definition, watch=watch, timeout=UP_TIMEOUT, interactive=False)
    running = next((found for found in find_containers(docker, definition) if found.is_running), None)
    if running:
        probe(docker, compose, definition, running=running, watch=watch)


@contextmanager
def trial(service: Service, *, watch: Watch, timeout: float = UP_TIMEOUT) -> Iterator[ServingResult]:
    """Serve `service.models_dir` in a second container for the length of a block. Raises ServiceError."""
    docker = service.docker
    name = f"{service.definition.project}-{service.definition.name}-trial"
    docker.attempt(["docker", "rm", "--force", name])  # from a killed trial
    try:
        docker.watch(service.commands.start_second(name, ports=(_GRPC_PORT,)), watch)
        yield _server(service, name).wait(timeout, is_new=True)
    finally:
        docker.attempt(["docker", "rm", "--force", "--volumes", name])


def _server(service: Service, name: str) -> ServedContainer:
    container = inspect(service.docker, Container({"Id": name}))
    return ServedContainer(service.docker, container, service.models_dir, service.token)
