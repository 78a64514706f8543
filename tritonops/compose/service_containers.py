"""The containers of one service: listed, created, started, renamed and removed."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass

from tritonops.compose.commands import Compose
from tritonops.compose.definition import Definition
from tritonops.compose.engine.container import Container, read_secret
from tritonops.compose.engine.docker import Docker, Watch
from tritonops.compose.engine.image import inspect_image
from tritonops.compose.interruption import Interruption
from tritonops.compose.ownership import find_containers
from tritonops.errors import DockerError, PublishedPortTakenError

_CONNECT_TIMEOUT = 5.0


@dataclass(frozen=True)
class ServiceContainers:
    """The containers of one service, on the engine."""

    docker: Docker
    compose: Compose
    definition: Definition
    watch: Watch
    interruption: Interruption

    def list(self) -> list[Container]:
        """List them, the newest first."""
        return find_containers(self.docker, self.definition)

    def create(self, current: Container | None) -> Container:
        """Let Compose create a container next to the current one, and remove one that it cannot complete."""
        known = {container.id for container in self.list()}
        is_second = current is not None and current.project == self.definition.project
        try:
            with self.interruption.postponed():
                self.docker.watch(self.compose.create(count=2 if is_second else 1), self._report_creation)
            new = [container for container in self.list() if container.id not in known]
            if len(new) != 1:
                raise DockerError(
                    f"Compose created {len(new)} containers of {self.definition.name} instead of one",
                    hint="Does another docker compose command change it at the same time?",
                )
            return new[0]
        except BaseException:
            self.interruption.defer()
            self.remove_unstarted({container.id for container in self.list()} - known)
            raise

    def start(self, container: Container) -> None:
        """Start a container. Raises PublishedPortTakenError if another server would answer on the host's network."""
        if container.is_on_host_network:
            address = container.grpc_address(self.docker.machine)
            host, _, port = address.rpartition(":")
            with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT):
                error = PublishedPortTakenError(address)
                error.hint = "Stop what listens there, or remove `network_mode: host`, so that ports can be chosen."
                raise error
        self.docker.output(["docker", "start", container.id])

    def remove(self, *containers: Container) -> None:
        """Remove containers, also running ones."""
        if containers:
            self.docker.output(["docker", "rm", "--force", *(container.id for container in containers)])

    def remove_unstarted(self, ids: set[str]) -> None:
        """Remove those of these containers that were never started."""
        self.remove(*(found for found in self.list() if found.id in ids and not found.was_started))

    def rename(self, container: Container, name: str) -> None:
        """Give a container another name."""
        if container.name != name:
            self.docker.output(["docker", "rename", container.id, name])

    def rename_as(self, new: Container, current: Container) -> None:
        """Give a container the name of the one that it replaces, within one project."""
        if new.project == current.project:
            self.rename(new, current.name)

    def is_as_defined(self, container: Container, token: str | None) -> bool:
        """Whether a container has the settings, the image and the token of the Compose files."""
        expected = self.docker.output(self.compose.hash()).split()[-1]
        secret = read_secret(self.docker, container, "triton_token")
        image = inspect_image(self.docker, container.image) or {}
        return (
            container.config_hash == expected
            and container.data["Image"] == image.get("Id")
            and (secret or None) == token
        )

    def _report_creation(self, line: str) -> None:
        """Drop Compose's line about the current container, which it calls `Running`."""
        if not line.startswith(" Container "):
            self.watch(line)
