"""A Triton for Testcontainers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from docker.errors import APIError, DockerException, ImageNotFound
from testcontainers.core.container import DockerContainer

from tritonops.errors import (
    DockerError,
    EngineUnreachableError,
    ImagePullError,
    PartialFailureError,
    ServiceError,
)
from tritonops.models.check.image import DEFAULT_IMAGE
from tritonops.models.repository import Repository
from tritonops.server.embedded import restrictions
from tritonops.triton.client import ModelStatus, connect
from tritonops.triton.served import raise_unserved, settled_index, with_reasons
from tritonops.triton.waiting import Deadline

_HTTP, _GRPC, _METRICS = 8000, 8001, 8002
_LOOPBACK = "127.0.0.1"
_LOG_LINES = 40


class TritonContainer(DockerContainer):
    """A Triton that serves a model repository in explicit mode, on free ports of the loopback interface.

    It is up when it answers and every model is READY; with `require_models=False` one that fails is no failure. Raises
    ServiceError with Triton's reasons and the end of its log, and leaves no container. It runs as the user of this
    process, who can read the models. Where the engine is on another machine, or these tests are in a container
    themselves, `bind` has to be an address that can be reached from here, like "0.0.0.0". Other options are those of
    DockerContainer.
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
        **options: Any,
    ) -> None:
        defaults = {"user": f"{os.getuid()}:{os.getgid()}", "shm_size": "1g"}
        with _translated_errors(image):
            super().__init__(image, **defaults | options)
        self.models_dir = Path(models_dir).resolve()
        self.token = token
        self._timeout, self._require_models, self._bind = timeout, require_models, bind
        self.with_volume_mapping(str(self.models_dir), "/models", "ro")
        self.with_command(_command(token))
        self.ports |= dict.fromkeys(map(str, (_HTTP, _GRPC, _METRICS)), (bind, None))  # type: ignore[arg-type]

    @property
    def grpc_address(self) -> str:
        """For tritonclient.grpc: host:port."""
        return self._address(_GRPC)

    @property
    def http_address(self) -> str:
        """For tritonclient.http: host:port."""
        return self._address(_HTTP)

    @property
    def metrics_url(self) -> str:
        """Where Prometheus finds its metrics."""
        return f"http://{self._address(_METRICS)}/metrics"

    def start(self) -> Self:
        """Start the container and wait until it serves; without `with`, `stop()` is the caller's business."""
        try:
            with _translated_errors(self.image):
                self._pull_missing()
                super().start()
            self._require(self._wait())
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, force: bool = True, delete_volume: bool = True) -> None:
        """Remove the container; a second time does nothing."""
        super().stop(force, delete_volume)
        self._container = None

    def log(self) -> str:
        """Return what Triton wrote since it started."""
        return b"".join(self.get_logs()).decode(errors="replace")

    def _pull_missing(self) -> None:
        images = self.get_docker_client().client.images
        try:
            images.get(self.image)
        except ImageNotFound:
            try:
                images.pull(self.image)
            except APIError as exc:
                hint = "For a small CPU image: `inv compose.build-cpu`."
                raise ImagePullError(self.image, str(exc.explanation or exc), hint=hint) from exc

    def _address(self, port: int) -> str:
        if self._bind == _LOOPBACK:  # what Testcontainers takes for a container may be a machine with its own engine
            return f"{_LOOPBACK}:{self.get_docker_client().port(self.get_container_id(), port)}"
        return f"{self.get_container_host_ip()}:{self.get_exposed_port(port)}"

    def _wait(self) -> list[ModelStatus]:
        self._require_running()
        with connect(self.grpc_address, token=self.token) as client:
            for _ in Deadline.after(self._timeout).polls():
                if (index := settled_index(client)) is not None:
                    return with_reasons(index, Repository(self.models_dir).enabled_names(), self.log())
                self._require_running()
        raise self._not_up(f"it was not ready after {self._timeout:g} s")

    def _require(self, rows: list[ModelStatus]) -> None:
        if not self._require_models:
            return
        try:
            raise_unserved(rows, hint="")
        except PartialFailureError as exc:
            raise ServiceError(self._with_log(str(exc))) from exc

    def _require_running(self) -> None:
        container = self.get_wrapped_container()
        container.reload()
        if container.status != "running":
            raise self._not_up(f"it ended with exit code {container.attrs['State']['ExitCode']}")

    def _not_up(self, problem: str) -> ServiceError:
        return ServiceError(self._with_log(f"Triton in {self.image} did not come up: {problem}"))

    def _with_log(self, problem: str) -> str:
        """In the message itself: that is what pytest shows."""
        return "\n".join([problem, "Its log ends:", *self.log().splitlines()[-_LOG_LINES:]])


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


@contextmanager
def _translated_errors(image: str) -> Iterator[None]:
    """Word what Docker's Python client raises as the docker commands of this library do."""
    try:
        yield
    except APIError as exc:
        raise DockerError(f"a container of {image} could not be started: {exc.explanation or exc}") from exc
    except DockerException as exc:
        raise EngineUnreachableError(str(exc)) from exc
