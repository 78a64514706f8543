"""Replace the container that serves, and keep it until the new one serves.

The engine itself records the progress of a replacement, so that a killed one is finished or rolled back later:

    NAME, another one never started     the new container is created; NAME serves
    NAME-previous, another one          the old container is being stopped, or is stopped
    NAME-previous alone                 a container with a fixed name is started again, or a rollback was killed
    NAME-previous, NAME running         the new container loads its models; NAME-previous goes as soon as it serves
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tritonops.compose.commands import Compose
from tritonops.compose.definition import Definition
from tritonops.compose.engine.container import PREVIOUS, Container, inspect
from tritonops.compose.engine.docker import Docker, Watch
from tritonops.compose.interruption import Interruption
from tritonops.compose.service_containers import ServiceContainers
from tritonops.compose.serving import ServingResult, ready_models
from tritonops.compose.start_check import probe
from tritonops.compose.starting import Start
from tritonops.errors import (
    DockerError,
    InputError,
    ServiceError,
    TokenRefusedError,
    TritonOpsError,
)


@dataclass(frozen=True)
class Replacement:
    """A replacement of one service's container, by one process at a time."""

    docker: Docker
    compose: Compose
    definition: Definition
    folder: Path | None
    token: str | None
    watch: Watch
    timeout: float
    """Seconds for loading the models."""
    interruption: Interruption
    model_timeout: float | None = None

    @cached_property
    def _containers(self) -> ServiceContainers:
        return ServiceContainers(self.docker, self.compose, self.definition, self.watch, self.interruption)

    def up(self, *, recreate: bool = False) -> ServingResult:
        """Serve with the current settings; a container that has them is kept, unless `recreate`.

        Raises TritonOpsError if none comes up. A failure or a signal rolls back to the earlier container.
        """
        current = self.settle()
        if current and current.status == "paused":
            raise ServiceError(f"the container {current.name} is paused", hint=f"docker unpause {current.name}")
        if current and self.definition.has_fixed_name:
            return self._up_in_place(current, recreate=recreate)
        new = self._containers.create(current)
        try:
            if current is None:
                return self._start(new)
            if recreate or not new.is_defined_as(current):
                return self._replace(current, new)
        except BaseException:
            self.interruption.defer()
            self._containers.remove_unstarted({new.id})
            raise
        self._containers.remove(new)
        return self._serve_unchanged(current)

    def settle(self, *, wait: bool = True) -> Container | None:
        """Finish or roll back a killed replacement, and return the service's container.

        Without `wait`, a new container that still loads its models is left alone. Raises InputError for several
        containers that no replacement created.
        """
        containers = self._containers.list()
        previous = next((container for container in containers if container.is_previous), None)
        others = [container for container in containers if not container.is_previous]
        for unstarted in [container for container in others if not container.was_started]:
            self.watch(f"removing {unstarted.name}, which was created and never started")
            self._containers.remove(unstarted)
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
            return self._roll_back(previous)
        if not wait and ready_models(self.docker, new, self.token) is None:
            self.watch(f"{new.name} is still starting: `inv compose.up` waits for it")
            return new
        try:
            self._wait(new, is_new=True)
        except TokenRefusedError:  # it answers
            pass
        except TritonOpsError as exc:
            self.watch(f"{new.name} does not serve: {exc}")
            return self._roll_back(previous)
        self._containers.remove(previous)
        self.watch(f"finished it: {new.name} serves")
        return new

    def _start(self, new: Container) -> ServingResult:
        self._containers.start(new)
        return self._wait_or_stop(new)

    def _serve_unchanged(self, current: Container) -> ServingResult:
        if not current.is_running:
            self._containers.start(current)
        return self._wait_or_stop(current, is_new=current.status != "running")

    def _wait_or_stop(self, container: Container, *, is_new: bool = True) -> ServingResult:
        """Wait; a container that restarts repeatedly is stopped, and kept for its log."""
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
        if not current.is_running:  # nothing serves, so nothing is kept
            self.watch(f"removing {current.name}, which has ended")
            self._containers.remove(current)
            self._containers.rename_as(new, current)
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
            self._roll_back(inspect(self.docker, current))
            raise
        self.interruption.defer()
        self._containers.remove(current)
        return served

    def _swap(self, current: Container, new: Container) -> ServingResult:
        with self.interruption.postponed():
            self._containers.rename(current, current.name + PREVIOUS)
        self.watch(f"stopping {current.name} as soon as its in-flight requests are answered")
        self.docker.output(["docker", "stop", current.id])
        self.watch("starting the new container, and waiting for its models")
        with self.interruption.postponed():
            self._containers.rename_as(new, current)
            self._containers.start(new)
        return self._wait(new, is_new=True)

    def _roll_back(self, previous: Container) -> Container:
        """Remove the new container, and start the previous one again."""
        self._containers.remove(*(container for container in self._containers.list() if container.id != previous.id))
        if previous.is_previous:
            try:
                self._start_again(previous)
            except DockerError as exc:
                self.watch(f"{_final_name(previous)} cannot be started again: {exc}")
                self._containers.rename(previous, _final_name(previous))
        previous = inspect(self.docker, previous)
        try:
            self._wait(previous, is_new=True)
        except TokenRefusedError:  # it answers
            pass
        except TritonOpsError as exc:
            self.watch(f"{previous.name} was started again, but does not serve: {exc}")
            return previous
        self.watch(f"rolled back: {previous.name} serves again")
        return previous

    def _start_again(self, previous: Container) -> None:
        """Start a previous container, and restore its name afterwards: if killed in between, it is still found."""
        # An interrupted stop continues in the engine; a start before its end would be lost.
        self.docker.output(["docker", "stop", previous.id])
        self.docker.output(["docker", "start", previous.id])
        self._containers.rename(previous, _final_name(previous))

    def _up_in_place(self, current: Container, *, recreate: bool) -> ServingResult:
        """Keep the only container that can have the fixed name, and restart it instead of replacing it."""
        if not self._containers.is_as_defined(current, self.token):
            raise InputError(
                f"{current.name} differs from the Compose files, but `container_name` allows no second container of "
                f"{self.definition.name} while the first one exists",
                hint="Remove `container_name` from the service; or `inv compose.down`, and then `inv compose.up`.",
            )
        if recreate and current.is_running:
            return self._restart(current)
        return self._serve_unchanged(current)

    def _restart(self, current: Container) -> ServingResult:
        try:
            with self.interruption.postponed():
                self._containers.rename(current, current.name + PREVIOUS)
            self.watch(f"stopping {current.name} as soon as its in-flight requests are answered")
            self.docker.output(["docker", "stop", current.id])
        finally:
            with self.interruption.postponed():
                if (now := inspect(self.docker, current)).is_previous:
                    self._start_again(now)
        return self._wait_or_stop(inspect(self.docker, current))

    def _wait(self, container: Container, *, is_new: bool) -> ServingResult:
        """Wait until it serves; models that keep it from starting are left out."""
        start = Start(self.docker, self.folder, self.token, self.watch, self.interruption, self.model_timeout)
        return start.wait(container, self.timeout, is_new=is_new)


def _final_name(previous: Container) -> str:
    return previous.name.removesuffix(PREVIOUS)


def _reason(exc: BaseException) -> str:
    return str(exc).splitlines()[0] if isinstance(exc, TritonOpsError) else "interrupted"


def _no_model(served: ServingResult) -> str:
    lines = [f"  {row.name}: {row.reason or 'it was never loaded'}" for row in served.models]
    lines = lines or ["  its models folder is empty"]
    return "\n".join(["the new container serves no model:", *lines, *served.causes])
