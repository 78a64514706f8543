"""A new container in the place of the one that serves, which is kept until the new one serves.

The engine itself records how far a replacement has come, so that one that was killed is finished or undone later:

    NAME, another one never started     the new container is created; NAME serves
    NAME-previous, another one          the old container is being stopped, or is stopped
    NAME-previous alone                 a container with a fixed name is started again, or an undoing was killed
    NAME-previous, NAME running         the new container loads its models; NAME-previous goes as soon as it serves
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tritonops.compose.commands import Compose
from tritonops.compose.definition import Definition
from tritonops.compose.engine.container import PREVIOUS, Container, inspect, read_secret
from tritonops.compose.engine.docker import Docker, Watch
from tritonops.compose.engine.image import inspect_image
from tritonops.compose.interruption import Interruption
from tritonops.compose.ownership import find_containers
from tritonops.compose.probe import probe
from tritonops.compose.serving import ServingResult, ready_models
from tritonops.compose.starting import Start
from tritonops.errors import (
    DockerError,
    InputError,
    PublishedPortTakenError,
    ServiceError,
    TokenRefusedError,
    TritonOpsError,
)

_CONNECT_TIMEOUT = 5.0


@dataclass(frozen=True)
class Replacement:
    """The containers of one service, changed by one process at a time."""

    docker: Docker
    compose: Compose
    definition: Definition
    folder: Path | None
    token: str | None
    watch: Watch
    timeout: float
    """Seconds that loading the models may take."""
    interruption: Interruption
    model_timeout: float | None = None

    def up(self, *, recreate: bool = False) -> ServingResult:
        """Let a container with the settings of now serve; one that has them already is kept, unless `recreate`.

        Raises TritonOpsError where none comes up. What served before serves again, also after a signal.
        """
        current = self.settle()
        if current and current.status == "paused":
            raise ServiceError(f"the container {current.name} is paused", hint=f"docker unpause {current.name}")
        if current and self.definition.has_fixed_name:
            return self._up_in_place(current, recreate=recreate)
        new = self._create(current)
        try:
            if current is None:
                return self._start(new)
            if recreate or not new.is_defined_as(current):
                return self._replace(current, new)
        except BaseException:
            self.interruption.defer()
            self._remove_unstarted({new.id})
            raise
        self._remove(new)
        return self._serve_unchanged(current)

    def settle(self, *, wait: bool = True) -> Container | None:
        """Finish or undo a replacement that was killed, and return the service's container.

        Without `wait`, one whose new container still loads its models is left at that. Raises InputError where there
        are several containers, and not from a replacement.
        """
        containers = self._containers()
        previous = next((container for container in containers if container.is_previous), None)
        others = [container for container in containers if not container.is_previous]
        for unstarted in [container for container in others if not container.was_started]:
            self.watch(f"removing {unstarted.name}, which was created and never started")
            self._remove(unstarted)
            others.remove(unstarted)
        if previous:
            return self._settle(previous, others, wait=wait)
        if len(others) > 1:
            names = ", ".join(container.name for container in others)
            raise InputError(
                f"the service {self.definition.name} has several containers: {names}",
                hint=f"Only one can have its ports. Keep one: `docker compose up --detach --scale "
                f"{self.definition.name}=1 {self.definition.name}`",
            )
        return others[0] if others else None

    def _settle(self, previous: Container, others: list[Container], *, wait: bool) -> Container:
        change = "restart" if self.definition.has_fixed_name else "replacement"
        self.watch(f"a {change} of {_final_name(previous)} was interrupted: {previous.name} is {previous.status}")
        new = next((container for container in others if container.status == "running"), None)
        if new is None or previous.is_running:
            return self._undo(previous)
        if not wait and ready_models(self.docker, new, self.token) is None:
            self.watch(f"{new.name} does not serve yet: `inv compose.up` waits for it")
            return new
        try:
            self._wait(new, is_new=True)
        except TokenRefusedError:  # it answers
            pass
        except TritonOpsError as exc:
            self.watch(f"{new.name} does not serve: {exc}")
            return self._undo(previous)
        self._remove(previous)
        self.watch(f"finished it: {new.name} serves")
        return new

    def _create(self, current: Container | None) -> Container:
        """Let Compose create a container beside the current one; nothing remains of one that it cannot complete."""
        known = {container.id for container in self._containers()}
        is_beside = current is not None and current.project == self.definition.project
        try:
            with self.interruption.postponed():
                self.docker.watch(self.compose.create(count=2 if is_beside else 1), self._note_creation)
            new = [container for container in self._containers() if container.id not in known]
            if len(new) != 1:
                raise DockerError(
                    f"Compose created {len(new)} containers of {self.definition.name} instead of one",
                    hint="Does another docker compose command work on it at the same time?",
                )
            return new[0]
        except BaseException:
            self.interruption.defer()
            self._remove_unstarted({container.id for container in self._containers()} - known)
            raise

    def _note_creation(self, line: str) -> None:
        """Compose calls the container that stays `Running`, which would mislead here."""
        if not line.startswith(" Container "):
            self.watch(line)

    def _start(self, new: Container) -> ServingResult:
        self._start_program(new)
        return self._wait_or_stop(new)

    def _serve_unchanged(self, current: Container) -> ServingResult:
        if not current.is_running:
            self._start_program(current)
        return self._wait_or_stop(current, is_new=current.status != "running")

    def _wait_or_stop(self, container: Container, *, is_new: bool = True) -> ServingResult:
        """A container that ends again and again is stopped, and kept for its log; one that still loads goes on."""
        container = inspect(self.docker, container)
        try:
            return self._wait(container, is_new=is_new)
        except ServiceError as exc:
            exc.hint = exc.hint or "All of its log: `inv compose.logs`"
            now = inspect(self.docker, container)
            if now.status == "restarting" or now.data["RestartCount"] != container.data["RestartCount"]:
                self.docker.output(["docker", "stop", container.id])
            raise

    def _replace(self, current: Container, new: Container) -> ServingResult:
        if not current.is_running:  # nothing serves, so there is nothing to keep
            self.watch(f"removing {current.name}, which has ended")
            self._remove(current)
            self._rename_as(new, current)
            return self._start(new)
        served_before = ready_models(self.docker, current, self.token)
        with self.interruption.postponed():
            probe(self.docker, self.compose, self.definition, running=current, watch=self.watch)
        try:
            served = self._swap(current, new)
            if served_before and not served.serves_any:
                raise ServiceError(_no_model(served), hint="The models or the image changed: `inv models.check`")
        except BaseException as exc:
            self.interruption.defer()
            self.watch(f"rolling back: {_reason(exc)}")
            self._undo(inspect(self.docker, current))
            raise
        self.interruption.defer()
        self._remove(current)
        return served

    def _swap(self, current: Container, new: Container) -> ServingResult:
        with self.interruption.postponed():
            self._rename(current, current.name + PREVIOUS)
        self.watch(f"stopping {current.name} as soon as its in-flight requests are answered")
        self.docker.output(["docker", "stop", current.id])
        self.watch("starting the new container, and waiting for its models")
        with self.interruption.postponed():
            self._rename_as(new, current)
            self._start_program(new)
        return self._wait(new, is_new=True)

    def _start_program(self, container: Container) -> None:
        """Start a container; in the host's network, only where no other server would answer in its place."""
        if container.is_on_host_network:
            address = container.grpc_address(self.docker.machine)
            host, _, port = address.rpartition(":")
            with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT):
                error = PublishedPortTakenError(address)
                error.hint = "Stop what listens there, or remove `network_mode: host`: the ports can be chosen then."
                raise error
        self.docker.output(["docker", "start", container.id])

    def _undo(self, previous: Container) -> Container:
        """Remove the new container, and let the previous one serve again."""
        self._remove(*(container for container in self._containers() if container.id != previous.id))
        if previous.is_previous:
            try:
                self._start_again(previous)
            except DockerError as exc:
                self.watch(f"{_final_name(previous)} cannot be started again: {exc}")
                self._rename(previous, _final_name(previous))
        previous = inspect(self.docker, previous)
        try:
            self._wait(previous, is_new=True)
        except TokenRefusedError:  # it answers
            pass
        except TritonOpsError as exc:
            self.watch(f"{previous.name} was started again, but does not serve: {exc}")
            return previous
        self.watch(f"undone: {previous.name} serves again")
        return previous

    def _start_again(self, previous: Container) -> None:
        """Start a previous container, and give it its name back after that: killed in between, it is still found."""
        # A stop that was cut short here goes on in the engine; a start before its end would be lost.
        self.docker.output(["docker", "stop", previous.id])
        self.docker.output(["docker", "start", previous.id])
        self._rename(previous, _final_name(previous))

    def _up_in_place(self, current: Container, *, recreate: bool) -> ServingResult:
        """Keep the one container that can have the name; it is started again where it should be new."""
        if not self._is_as_defined(current):
            raise InputError(
                f"{current.name} has other settings than the files, but `container_name` lets no second container of "
                f"{self.definition.name} be created before the first is gone",
                hint="Remove `container_name` from the service; or `inv compose.down`, and then `inv compose.up`.",
            )
        if recreate and current.is_running:
            return self._restart(current)
        return self._serve_unchanged(current)

    def _restart(self, current: Container) -> ServingResult:
        try:
            with self.interruption.postponed():
                self._rename(current, current.name + PREVIOUS)
            self.watch(f"stopping {current.name} as soon as its in-flight requests are answered")
            self.docker.output(["docker", "stop", current.id])
        finally:
            with self.interruption.postponed():
                if (now := inspect(self.docker, current)).is_previous:
                    self._start_again(now)
        return self._wait_or_stop(inspect(self.docker, current))

    def _is_as_defined(self, current: Container) -> bool:
        expected = self.docker.output(self.compose.hash()).split()[-1]
        secret = read_secret(self.docker, current, "triton_token")
        image = inspect_image(self.docker, current.image) or {}
        return (
            current.config_hash == expected
            and current.data["Image"] == image.get("Id")
            and (secret or None) == self.token
        )

    def _containers(self) -> list[Container]:
        return find_containers(self.docker, self.definition)

    def _wait(self, container: Container, *, is_new: bool) -> ServingResult:
        """Wait until it serves what it can; what keeps it from starting is left out."""
        start = Start(self.docker, self.folder, self.token, self.watch, self.interruption, self.model_timeout)
        return start.wait(container, self.timeout, is_new=is_new)

    def _remove(self, *containers: Container) -> None:
        if containers:
            self.docker.output(["docker", "rm", "--force", *(container.id for container in containers)])

    def _remove_unstarted(self, ids: set[str]) -> None:
        self._remove(*(found for found in self._containers() if found.id in ids and not found.was_started))

    def _rename_as(self, new: Container, current: Container) -> None:
        """Give the new container the name of the one that it replaces, within one project."""
        if new.project == current.project:
            self._rename(new, current.name)

    def _rename(self, container: Container, name: str) -> None:
        if container.name != name:
            self.docker.output(["docker", "rename", container.id, name])


def _final_name(previous: Container) -> str:
    return previous.name.removesuffix(PREVIOUS)


def _reason(exc: BaseException) -> str:
    return str(exc).splitlines()[0] if isinstance(exc, TritonOpsError) else "interrupted"


def _no_model(served: ServingResult) -> str:
    lines = [f"  {row.name}: {row.reason or 'it was never loaded'}" for row in served.models]
    lines = lines or ["  its models folder is empty"]
    return "\n".join(["the new container serves no model:", *lines, *served.causes])
