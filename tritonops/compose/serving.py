"""Waiting until a container serves its models, and saying what is served now."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tritonops.compose.causes import causes
from tritonops.compose.container import Container, find_containers, inspect, read_log
from tritonops.compose.definition import Definition
from tritonops.compose.engine import Docker
from tritonops.compose.models_mount import View, look, require_same_folder
from tritonops.errors import ServiceError, TokenRefusedError, TritonError, TritonOpsError
from tritonops.models.repository import Repository
from tritonops.triton.client import ModelStatus, connect
from tritonops.triton.disk import Disk
from tritonops.triton.served import settled_index, with_reasons
from tritonops.triton.waiting import Deadline

SERVING_NOW = "serving now:"
"""How a command that failed, and changed nothing in the end, begins the line with what is served."""
_LOG_LINES = 15
_QUICK = 3.0


@dataclass(frozen=True)
class Served:
    """A running Triton: where it listens for gRPC, and its models, each with the reason where it is not served."""

    url: str
    models: tuple[ModelStatus, ...]
    errors: tuple[str, ...]
    """The last errors of its log."""
    causes: tuple[str, ...] = ()
    """What lies behind them: memory, shared memory, permissions."""

    @property
    def serves_any(self) -> bool:
        """Whether a model is READY."""
        return any(row.state == "READY" for row in self.models)


@dataclass(frozen=True)
class Server:
    """Triton in one container: how to ask it, and which folder it should serve."""

    docker: Docker
    container: Container
    folder: Path | None
    """None where the models lie in a volume, or not on this machine."""
    token: str | None

    def wait(self, timeout: float, *, is_new: bool) -> Served:
        """Return once Triton has tried to load every model.

        Raises ServiceError with the cause and the end of the log, and TokenRefusedError.
        """
        url = self._require_running().grpc_address(self.docker.machine)
        with connect(url, token=self.token) as client:
            for _ in Deadline.after(timeout).polls():
                try:
                    index = settled_index(client)
                except TokenRefusedError:
                    raise
                except TritonError as exc:
                    raise self._failure(str(exc)) from exc
                if index is not None:
                    return self._served(url, index, is_new=is_new)
                self._require_running()
        raise self._failure(f"it was not ready after {timeout:g} s")

    def _served(self, url: str, index: list[ModelStatus], *, is_new: bool) -> Served:
        container, docker = self.container, self.docker
        if self.folder:
            Disk.of(self.folder, url).forget_before(datetime.fromisoformat(container.started_at).timestamp())
            view = require_same_folder(docker, container, self.folder, is_new=is_new)
            names: Iterable[str] = Repository(self.folder).enabled_names()
        else:
            view = look(docker, container)
            names = (view.names if view else None) or ()
        log = read_log(docker, container, tail=5000, since=container.started_at)
        rows = with_reasons(index, names, log)
        errors = tuple(line for line in log.splitlines() if re.match(r"E\d{4} ", line))[-_LOG_LINES:]
        return Served(url, tuple(rows), errors, self._causes(rows, view, errors))

    def _causes(self, rows: list[ModelStatus], view: View | None, errors: tuple[str, ...]) -> tuple[str, ...]:
        failed = [row.reason or "" for row in rows if row.state != "READY"]
        if not failed:
            return ()
        found = causes(self.docker, inspect(self.docker, self.container), "\n".join([*failed, *errors]))
        return (*found, *self._view_cause(view))

    def _view_cause(self, view: View | None) -> tuple[str, ...]:
        return (view.cause(is_rootless=self.docker.is_rootless),) if view and view.is_blocked else ()

    def _require_running(self) -> Container:
        now = inspect(self.docker, self.container)
        if now.status == "paused":
            raise ServiceError(f"the container {now.name} is paused", hint=f"docker unpause {now.name}")
        if now.status != "running" or now.data["RestartCount"] != self.container.data["RestartCount"]:
            raise self._failure(f"it ended with exit code {now.data['State']['ExitCode']}", now)
        return now

    def _failure(self, problem: str, container: Container | None = None) -> ServiceError:
        container = container or inspect(self.docker, self.container)
        log = read_log(self.docker, container, tail=_LOG_LINES)
        view = look(self.docker, container) if container.status == "running" else None
        found = causes(self.docker, container, log)
        found = (*found, *self._view_cause(view))
        because = "".join(f"\n{cause}" for cause in found)
        return ServiceError(f"Triton did not come up: {problem}{because}\nIts log ends:\n{log}")


def describe(docker: Docker, definition: Definition, token: str | None) -> str:
    """Say in one line what the service serves at this moment."""
    for container in find_containers(docker, definition):
        if container.is_running:
            return f"{SERVING_NOW} {container.name} ({container.image}), {_models(docker, container, token)}"
    return f"{SERVING_NOW} nothing"


def ready_models(docker: Docker, container: Container, token: str | None) -> frozenset[str] | None:
    """Name the models that are READY at this moment; None where Triton does not answer, or not with this token."""
    try:
        with connect(container.grpc_address(docker.machine), token=token) as client:
            for _ in Deadline.after(_QUICK).polls():
                if (index := settled_index(client)) is not None:
                    return frozenset(row.name for row in index if row.state == "READY")
    except TritonOpsError:
        return None
    return None


def _models(docker: Docker, container: Container, token: str | None) -> str:
    if container.status != "running":
        return f"but it is {container.status}"
    ready = ready_models(docker, container, token)
    if ready is None:
        return "which does not list its models to us: it loads them still, or has another token"
    return f"models READY: {', '.join(sorted(ready)) or 'none'}"
