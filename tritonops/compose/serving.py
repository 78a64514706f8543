"""Wait until a container serves its models, and describe what is served."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tritonops.compose.definition import Definition
from tritonops.compose.engine.causes import causes
from tritonops.compose.engine.container import Container, exit_codes, inspect, read_log
from tritonops.compose.engine.docker import Docker
from tritonops.compose.engine.models_mount import MountView, require_same_folder, view_mount
from tritonops.compose.ownership import find_containers
from tritonops.errors import ServiceError, TokenRefusedError, TritonError, TritonOpsError
from tritonops.models.disk.repository import Repository
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import connect
from tritonops.triton.client.waiting import Deadline
from tritonops.triton.disk.served_folder import ServedFolder
from tritonops.triton.startup.exclude_file import ExcludeFile
from tritonops.triton.startup.load_log import LoadLog, crash_message
from tritonops.triton.startup.load_timeout import MODEL_TIMEOUT, load_timeout
from tritonops.triton.startup.loading import PARALLEL
from tritonops.triton.startup.served import has_started, settled_index, with_reasons

SERVING_NOW = "serving now:"
"""The prefix of the line with what is served after a failed command."""
_LOG_LINES = 15
_ALL_LINES = 100_000
_READ_PERIOD = 1.0
_INITIALIZES = "TRITONBACKEND_ModelInstanceInitialize: "
# 128 and SIGILL, SIGABRT, SIGBUS, SIGFPE or SIGSEGV
_FAULTS = ([132], [134], [135], [136], [139])
_QUICK = 3.0


class BadStart(Exception):  # noqa: N818 (caught by `Start`, never shown)
    """Models keep Triton from starting: those of `reasons` for certain, and at least one of the `suspects`."""

    def __init__(self, reasons: Mapping[str, str], suspects: Mapping[str, str]) -> None:
        super().__init__(f"Triton does not start with {', '.join([*reasons, *suspects])}")
        self.reasons, self.suspects = dict(reasons), dict(suspects)


@dataclass(frozen=True)
class ServingResult:
    """A running Triton: its gRPC address, and its models, with the reason of each that is not served."""

    url: str
    models: tuple[ModelStatus, ...]
    errors: tuple[str, ...]
    """The last errors of its log."""
    causes: tuple[str, ...] = ()
    """Their causes: memory, shared memory, permissions."""

    @property
    def serves_any(self) -> bool:
        """Whether a model is READY."""
        return any(row.state == "READY" for row in self.models)


@dataclass(frozen=True)
class ServedContainer:
    """A container with Triton, and the folder that it should serve."""

    docker: Docker
    container: Container
    folder: Path | None
    """None for a volume, or a folder of another machine."""
    token: str | None
    model_timeout: float | None = None
    """Seconds for the load of one model (default: by its size)."""

    def wait(self, timeout: float, *, is_new: bool) -> ServingResult:
        """Wait until Triton has tried to load every model.

        Raises BadStart if a model keeps it from that, ServiceError with the cause and the end of the log, and
        TokenRefusedError.
        """
        url = self._require_running().grpc_address(self.docker.machine)
        loads = _LoadWatcher(self)
        with connect(url, token=self.token) as client:
            for _ in Deadline.after(timeout).polls():
                try:
                    index = settled_index(client, hung=loads.hung)
                except TokenRefusedError:
                    raise
                except TritonError as exc:
                    raise self._failure(str(exc)) from exc
                if index is not None:
                    self._require_running()  # on the host's network another server may have answered
                    return self._served(url, index, loads.hung, is_new=is_new)
                self._require_running()
                if loads.is_hung() and not has_started(client):
                    raise loads.error()
        raise self._failure(f"it was not ready after {timeout:g} s")

    def _served(self, url: str, index: list[ModelStatus], hung: Mapping[str, str], *, is_new: bool) -> ServingResult:
        container, docker = self.container, self.docker
        if self.folder:
            ServedFolder.of(self.folder, url).discard_before(datetime.fromisoformat(container.started_at).timestamp())
            view = require_same_folder(docker, container, self.folder, is_new=is_new)
            names: Iterable[str] = Repository(self.folder).enabled_names()
            left_out = {name: f"left out: {reason}" for name, reason in ExcludeFile(self.folder).reasons().items()}
            not_loaded = {**left_out, **hung}
        else:
            view = view_mount(docker, container)
            names, not_loaded = (view.names if view else None) or (), dict(hung)
        log = read_log(docker, container, tail=5000, since=container.log_start)
        rows = with_reasons(index, names, log, not_loaded=not_loaded)
        errors = tuple(line for line in log.splitlines() if re.match(r"E\d{4} ", line))[-_LOG_LINES:]
        return ServingResult(url, tuple(rows), errors, self._causes(rows, view, errors))

    def _causes(self, rows: list[ModelStatus], view: MountView | None, errors: tuple[str, ...]) -> tuple[str, ...]:
        failed = [row.reason or "" for row in rows if row.state != "READY"]
        if not failed:
            return ()
        found = causes(self.docker, inspect(self.docker, self.container), "\n".join([*failed, *errors]))
        return (*found, *self._view_cause(view))

    def _view_cause(self, view: MountView | None) -> tuple[str, ...]:
        return (view.cause(is_rootless=self.docker.is_rootless),) if view and view.is_blocked else ()

    def _require_running(self) -> Container:
        now = inspect(self.docker, self.container)
        if now.status == "paused":
            raise ServiceError(f"the container {now.name} is paused", hint=f"docker unpause {now.name}")
        if now.status != "running" or now.data["RestartCount"] != self.container.data["RestartCount"]:
            _refuse_crash(self.docker, self.container, now)
            raise self._failure(_ending(self.docker, self.container, now), now)
        return now

    def _failure(self, problem: str, container: Container | None = None) -> ServiceError:
        container = container or inspect(self.docker, self.container)
        log = read_log(self.docker, container, tail=_LOG_LINES)
        view = view_mount(self.docker, container) if container.status == "running" else None
        found = causes(self.docker, container, log)
        found = (*found, *self._view_cause(view))
        because = "".join(f"\n{cause}" for cause in found)
        return ServiceError(f"Triton did not come up: {problem}{because}\nIts log ends:\n{log}")


class _LoadWatcher:
    """The loads of a start, read from the log of the container about once a second."""

    def __init__(self, server: ServedContainer) -> None:
        self._server, self._container = server, server.container
        self._loading: frozenset[str] = frozenset()
        self._initializations = 0
        self._read_at = self._changed_at = time.monotonic()
        self.hung: dict[str, str] = {}
        """The models whose load does not end; of many, some may only be queued."""

    def is_hung(self) -> bool:
        """Whether a load hangs: its process did not start, or no load has progressed for as long as one may take."""
        now = time.monotonic()
        if now - self._read_at < _READ_PERIOD:
            return False
        self._read_at = now
        log = LoadLog()
        text = read_log(self._server.docker, self._container, tail=_ALL_LINES, since=self._container.log_start)
        log.feed(f"{text}\n")
        progress = (frozenset(log.loading), text.count(_INITIALIZES))
        if progress != (self._loading, self._initializations):
            (self._loading, self._initializations), self._changed_at = progress, now
        self.hung = log.stuck or self._overdue(now - self._changed_at)
        return bool(self.hung)

    def error(self) -> BadStart:
        """Triton loads a few at a time: of many that hang, some may only wait for a thread."""
        if len(self.hung) <= PARALLEL:
            return BadStart(self.hung, {})
        return BadStart({}, dict.fromkeys(self.hung, f"not loaded: {', '.join(sorted(self.hung))} did not end"))

    def _overdue(self, seconds: float) -> dict[str, str]:
        timeout = max(map(self._timeout, self._loading), default=0.0)
        if seconds <= timeout:
            return {}
        return dict.fromkeys(self._loading, f"still loading after {timeout:g} s; --model-timeout allows more")

    def _timeout(self, name: str) -> float:
        server = self._server
        if server.model_timeout is not None:
            return server.model_timeout
        return load_timeout(server.folder / name) if server.folder else MODEL_TIMEOUT


def _refuse_crash(docker: Docker, container: Container, now: Container) -> None:
    """Raise BadStart if Triton crashed while it loaded models; it may have been restarted since."""
    is_restarted = now.started_at != container.started_at
    until = now.started_at if is_restarted else None
    text = read_log(docker, container, tail=_ALL_LINES, since=container.log_start, until=until)
    log = LoadLog()
    log.feed(f"{text}\n")
    is_crash = log.is_crashing or exit_codes(docker, container)[-1:] in _FAULTS
    cause = crash_message(text) or ("it wrote no reason" if is_crash else None)
    if cause is None or not log.loading:
        return
    if len(log.loading) == 1:
        raise BadStart(dict.fromkeys(log.loading, f"Triton crashed while it loaded this model: {cause}"), {})
    reason = f"not loaded: Triton crashed while it loaded {', '.join(sorted(log.loading))}: {cause}"
    raise BadStart({}, dict.fromkeys(log.loading, reason))


def _ending(docker: Docker, container: Container, now: Container) -> str:
    """Describe how its program ended. After a restart, the state always has the exit code 0."""
    codes = exit_codes(docker, container) if now.status == "running" else [now.data["State"]["ExitCode"]]
    return f"it ended with exit code {codes[-1]}" if codes else "it ended, and was started again"


def describe(docker: Docker, definition: Definition, token: str | None) -> str:
    """Describe in one line what the service serves."""
    containers = find_containers(docker, definition)
    for container in containers:
        if container.is_running:
            return f"{SERVING_NOW} {container.name} ({container.image}), {_models(docker, container, token)}"
    left = ", ".join(f"{container.name} is {container.status}" for container in containers)
    return f"{SERVING_NOW} nothing{left and f' ({left})'}"


def ready_models(docker: Docker, container: Container, token: str | None) -> frozenset[str] | None:
    """Name the READY models; None if Triton does not answer, or refuses the token."""
    try:
        with connect(container.grpc_address(docker.machine), token=token) as client:
            for _ in Deadline.after(_QUICK).polls():
                if settled_index(client) is not None:
                    break
            return frozenset(row.name for row in client.index() if row.state == "READY")
    except TritonOpsError:
        return None


def _models(docker: Docker, container: Container, token: str | None) -> str:
    if container.status != "running":
        return f"but it is {container.status}"
    ready = ready_models(docker, container, token)
    if ready is None:
        return "which does not list its models: it is still loading them, or has another token"
    return f"models READY: {', '.join(sorted(ready)) or 'none'}"
