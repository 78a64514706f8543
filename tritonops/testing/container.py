"""A Triton for Testcontainers."""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer, Reaper
from testcontainers.core.network import Network

from tritonops.compose.engine.models_mount import refuse_leaving_links
from tritonops.errors import (
    DockerError,
    EngineUnreachableError,
    ImagePullError,
    InputError,
    PartialFailureError,
    ServiceError,
    TritonOpsError,
)
from tritonops.models.disk.repository import Repository
from tritonops.models.rules.hazards import hazard
from tritonops.server.command_line import restrictions
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import connect
from tritonops.triton.client.waiting import Deadline
from tritonops.triton.startup.load_log import LoadLog
from tritonops.triton.startup.served import raise_unserved, settled_index, with_reasons
from tritonops.triton_image import DEFAULT_IMAGE

_HTTP, _GRPC, _METRICS = 8000, 8001, 8002
_LOOPBACK = "127.0.0.1"
_LOG_LINES = 40
_EVENT_SECONDS = 30
_KILLED = 137  # 128 + SIGKILL
_LAYOUT = "It contains <model>/config.pbtxt and <model>/<version>/. A relative path starts at the working folder."
_NO_REAPER = "TESTCONTAINERS_RYUK_DISABLED=true does without it; a run that is killed then leaves its containers."


class TritonContainer(DockerContainer):
    """A Triton that serves a model repository in explicit mode, on free ports of the loopback interface.

    Its start ends when every model is READY; with `require_models=False`, a model may fail. Raises InputError for a
    missing `models_dir` or a wrong option, ServiceError with Triton's reasons and the end of its log, and leaves no
    container. It runs as the user of this process, who can read the models. With an engine on another machine, or tests
    in a container, `bind` has to be a reachable address such as "0.0.0.0". `network` is a Testcontainers network or a
    name. Other options are those of DockerContainer (`env`) and of Docker's Python client (`mem_limit`).
    """

    def __init__(
        self,
        models_dir: str | os.PathLike[str],
        *,
        image: str = DEFAULT_IMAGE,
        token: str | None = None,
        timeout: float = 120.0,
        require_models: bool = True,
        bind: str = _LOOPBACK,
        network: Network | str | None = None,
        **options: Any,
    ) -> None:
        if "host" in (network, options.get("network_mode")):
            raise InputError(
                "the host's network is refused: it would open the control APIs to everybody",
                hint='To publish the ports instead: bind="0.0.0.0"',
            )
        _require_address(bind)
        if token and not re.fullmatch(r"[!-~]+", token):
            raise InputError("token: expected printable ASCII without spaces, as headers do")
        defaults: dict[str, Any] = {"user": f"{os.getuid()}:{os.getgid()}", "shm_size": "1g"}
        with _translated_errors(image):
            super().__init__(image, network=None if isinstance(network, str) else network, **defaults | options)
        if isinstance(network, str):
            self._kwargs["network"] = network
        self.models_dir = Path(models_dir).resolve()
        self.token = token
        self._timeout, self._require_models, self._bind = timeout, require_models, bind
        self._had_memory_kill = False
        self.with_volume_mapping(str(self.models_dir), "/models", "ro")
        self.with_command(_command(token))
        self.ports |= dict.fromkeys(map(str, (_HTTP, _GRPC, _METRICS)), (bind, None))  # type: ignore[arg-type]

    @property
    def grpc_address(self) -> str:
        """The address for tritonclient.grpc, host:port."""
        return self._address(_GRPC)

    @property
    def http_address(self) -> str:
        """The address for tritonclient.http, host:port."""
        return self._address(_HTTP)

    @property
    def metrics_url(self) -> str:
        """The URL of its Prometheus metrics."""
        return f"http://{self._address(_METRICS)}/metrics"

    def start(self) -> Self:
        """Start the container, unless it is running, and wait until it serves.

        Without `with`, the caller has to call `stop()`.
        """
        if self._is_running():
            return self
        try:
            self.stop()
            self._require_models_dir()
            with _translated_errors(self.image):
                self._pull_missing()
                self._start_reaper()
                super().start()
            self._require(self._wait())
        except TritonOpsError as exc:
            self.stop()
            if exc.hint:
                exc.add_note(f"hint: {exc.hint}")  # pytest shows the notes of an error
            raise
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, force: bool = True, delete_volume: bool = True) -> None:
        """Remove the container; a second time does nothing."""
        with suppress(NotFound):
            super().stop(force, delete_volume)
        self._container = None

    def log(self) -> str:
        """Return Triton's log since its start."""
        return b"".join(self.get_logs()).decode(errors="replace")

    def _is_running(self) -> bool:
        if self._container is None:
            return False
        try:
            self._container.reload()
        except NotFound:
            return False
        return bool(self._container.status == "running")

    def _require_models_dir(self) -> None:
        """Refuse a missing folder, which the engine would create as root."""
        if not self.models_dir.is_dir():
            what = "is not a folder" if self.models_dir.exists() else "does not exist"
            raise InputError(f"the model repository {self.models_dir} {what}", hint=_LAYOUT)
        refuse_leaving_links(self.models_dir)
        for name in Repository(self.models_dir).enabled_names():
            if reason := hazard(self.models_dir / name):
                raise InputError(f"the model {name} would keep Triton from starting: {reason}", hint=_LAYOUT)

    def _pull_missing(self) -> None:
        images = self.get_docker_client().client.images
        try:
            images.get(self.image)
        except ImageNotFound:
            try:
                images.pull(self.image)
            except APIError as exc:
                hint = f"To try again: docker pull {self.image}. `image` or TRITON_IMAGE names another image."
                raise ImagePullError(self.image, str(exc.explanation or exc), hint=hint) from exc

    def _start_reaper(self) -> None:
        """Start the clean-up container first, so that its failure is not reported as ours."""
        if testcontainers_config.ryuk_disabled:
            return
        image = testcontainers_config.ryuk_image
        try:
            Reaper.get_instance()
        except (APIError, OSError, RuntimeError, TimeoutError) as exc:
            Reaper.delete_instance()
            reason = getattr(exc, "explanation", None) or exc
            raise DockerError(
                f"the clean-up container of Testcontainers, {image}, cannot be pulled or started: {reason}",
                hint=_NO_REAPER,
            ) from exc

    def _address(self, port: int) -> str:
        if self._bind in ("0.0.0.0", "::", ""):  # noqa: S104
            return f"{self.get_container_host_ip()}:{self.get_exposed_port(port)}"
        # Testcontainers mistakes some machines with their own engine for a container.
        host = f"[{self._bind}]" if ":" in self._bind else self._bind
        return f"{host}:{self.get_docker_client().port(self.get_container_id(), port)}"

    def _wait(self) -> list[ModelStatus]:
        self._require_running()
        with connect(self.grpc_address, token=self.token) as client:
            for _ in Deadline.after(self._timeout).polls():
                if (index := settled_index(client)) is not None:
                    return with_reasons(index, Repository(self.models_dir).enabled_names(), self.log())
                self._require_running()
                self._had_memory_kill = self._had_memory_kill or self._oom_events(until=time.time())
        log = LoadLog()
        log.feed(self.log())
        loading = ", ".join(sorted(log.loading)) or "nothing"
        raise self._failure(f"it was not ready after {self._timeout:g} s, and was loading {loading}")

    def _require(self, rows: list[ModelStatus]) -> None:
        if not self._require_models:
            return
        if not rows:
            warnings.warn(f"the model repository {self.models_dir} has no models. {_LAYOUT}", stacklevel=3)
        try:
            raise_unserved(rows, hint="")
        except PartialFailureError as exc:
            raise ServiceError(self._with_log(str(exc))) from exc

    def _require_running(self) -> None:
        container = self.get_wrapped_container()
        container.reload()
        if container.status != "running":
            raise self._failure(f"it ended with exit code {container.attrs['State']['ExitCode']}")

    def _failure(self, problem: str) -> ServiceError:
        return ServiceError(self._with_log(f"Triton in {self.image} did not come up: {problem}"))

    def _with_log(self, problem: str) -> str:
        """Add the log to the message, which is what pytest shows."""
        causes = [cause] if (cause := self._memory_kill()) else []
        return "\n".join([problem, *causes, "Its log ends:", *self.log().splitlines()[-_LOG_LINES:]])

    def _memory_kill(self) -> str | None:
        """Describe a kill for memory; the container keeps running if a backend's process was killed."""
        container = self.get_wrapped_container()
        container.reload()
        state, limit = container.attrs["State"], container.attrs["HostConfig"].get("Memory")
        limited = f"its limit is {limit >> 20} MiB; mem_limit= raises it" if limit else "the machine has too little"
        if state.get("OOMKilled") or self._had_memory_kill or self._oom_events(until=time.time() + 1):
            return f"The kernel killed a process in it for memory: {limited}."
        if state["ExitCode"] == _KILLED:
            return f"Something killed it (exit {_KILLED}), `docker kill` or the kernel for memory: {limited}."
        return None

    def _oom_events(self, *, until: float) -> bool:
        """Whether there was an event in the last seconds; the engine keeps few events, and answers at `until`."""
        client = self.get_docker_client().client
        filters = {"container": self.get_container_id(), "event": "oom"}
        since = time.time() - _EVENT_SECONDS
        return any(True for _ in client.events(since=int(since), until=int(until), filters=filters))


def _command(token: str | None) -> list[str]:
    return [
        "tritonserver",
        "--model-repository=/models",
        "--model-control-mode=explicit",
        "--load-model=*",
        "--exit-on-error=false",
        "--strict-readiness=false",
        *restrictions(token),
    ]


def _require_address(bind: str) -> None:
    """Refuse a name, for which the engine would open the ports on every address."""
    try:
        if bind:
            ip_address(bind)
    except ValueError as exc:
        raise InputError(f"bind: expected an IP address, got {bind!r}", hint="This machine alone: 127.0.0.1") from exc


@contextmanager
def _translated_errors(image: str) -> Iterator[None]:
    """Raise this library's errors for those of Docker's Python client."""
    try:
        yield
    except APIError as exc:
        raise DockerError(f"a container of {image} could not be started: {exc.explanation or exc}") from exc
    except DockerException as exc:
        if exc.__cause__ is None:  # not a failed connection, but a wrong argument
            raise InputError(f"a container of {image!r} could not be started: {exc}") from exc
        error = EngineUnreachableError(str(exc))
        error.hint = "Start Docker, or set DOCKER_HOST."
        raise error from exc
    except TypeError as exc:
        if "unexpected keyword" not in str(exc):
            raise
        raise InputError(f"Docker's Python client does not know an option: {exc}") from exc
