"""Start Triton without the models that hang or crash it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tritonops.compose.engine.container import Container, inspect, read_log
from tritonops.compose.engine.docker import Docker, Watch
from tritonops.compose.interruption import Interruption
from tritonops.compose.serving import BadStart, ServedContainer, ServingResult
from tritonops.errors import ServiceError
from tritonops.triton.client.waiting import Deadline
from tritonops.triton.startup.exclude_file import ExcludeFile
from tritonops.triton.startup.loading import Loading

_LOG_PERIOD = 0.5


@dataclass(frozen=True)
class Start:
    """Waits for a container, and restarts it without the models that kept Triton from starting."""

    docker: Docker
    folder: Path | None
    token: str | None
    watch: Watch
    interruption: Interruption
    model_timeout: float | None

    def wait(self, container: Container, timeout: float, *, is_new: bool) -> ServingResult:
        """Wait until Triton has tried to load every model that is not in the exclude file.

        Raises ServiceError with the cause and the end of the log, and TokenRefusedError.
        """
        deadline = Deadline.after(timeout)
        served, suspects = self._wait(container, deadline, is_new=is_new)
        return self._try_suspects(container, suspects, deadline) if suspects else served

    def _wait(self, container: Container, deadline: Deadline, *, is_new: bool) -> tuple[ServingResult, set[str]]:
        """Wait, and restart without the models that hung or crashed it; return the suspects among them."""
        suspects: set[str] = set()
        while True:
            try:
                return self._server(container).wait(deadline.left, is_new=is_new), suspects
            except BadStart as exc:
                suspects |= self._leave_out(exc)
                self._restart(container)
                is_new = True

    def _leave_out(self, error: BadStart) -> set[str]:
        """Exclude models, and return those that are only suspects, with the ensembles that use them."""
        reasons = error.reasons | error.suspects
        if self.folder is None:
            raise ServiceError(_listed(reasons), hint="Fix these models, or remove them from the volume.")
        exclude = ExcludeFile(self.folder)
        if reasons.keys() <= exclude.reasons().keys():
            hint = (
                f"Only the start command of ml.yml leaves out the models of {exclude.path}; this service has its own."
            )
            raise ServiceError(_listed(reasons), hint=hint)
        certain = exclude.add(error.reasons)
        suspects = exclude.add(error.suspects, is_certain=False).keys() - certain.keys()
        for name, reason in error.reasons.items():
            self.watch(f"starting again without {name}: {reason}")
        if suspects:
            self.watch(f"starting again without {', '.join(sorted(suspects))}, which are loaded by calls later")
        return suspects

    def _try_suspects(self, container: Container, suspects: set[str], deadline: Deadline) -> ServingResult:
        """Load the suspects by calls; those that are served are no longer excluded."""
        assert self.folder
        exclude = ExcludeFile(self.folder)
        loading = Loading.of(self.folder, names=suspects, refuse=lambda name: None, model_timeout=self.model_timeout)
        loading.reasons |= {name: reason for name, reason in exclude.reasons().items() if name not in suspects}
        while not self._load(container, loading, deadline):
            self._restart(container)
            self._wait(container, deadline, is_new=True)
        exclude.discard(*suspects)
        if reasons := {name: loading.reasons[name] for name in suspects & loading.reasons.keys()}:
            exclude.add({name: reason for name, reason in reasons.items() if name not in loading.ensembles})
            self._restart(container)  # a load that never ends blocks a thread, and the next stop
        return self._wait(container, deadline, is_new=True)[0]

    def _load(self, container: Container, loading: Loading, deadline: Deadline) -> bool:
        """Load the suspects; False if Triton crashed."""
        run = _ContainerRun(self.docker, inspect(self.docker, container))
        return loading.run(run.url, run.read_log, run.is_alive, token=self.token, deadline=deadline)

    def _restart(self, container: Container) -> None:
        """Kill the container, which answers no requests, and start it again."""
        with self.interruption.postponed():
            self.docker.output(["docker", "restart", "-t", "0", container.id])

    def _server(self, container: Container) -> ServedContainer:
        return ServedContainer(
            self.docker, inspect(self.docker, container), self.folder, self.token, self.model_timeout
        )


class _ContainerRun:
    """One run of a container's program, until its next start."""

    def __init__(self, docker: Docker, container: Container) -> None:
        self._docker, self._container = docker, container
        self._text, self._read_at = "", 0.0
        self.url = container.grpc_address(docker.machine)

    def is_alive(self) -> bool:
        now = inspect(self._docker, self._container)
        return now.status == "running" and now.started_at == self._container.started_at

    def read_log(self, position: int) -> tuple[str, int]:
        if time.monotonic() - self._read_at > _LOG_PERIOD:
            self._text = read_log(self._docker, self._container, tail=100_000, since=self._container.log_start)
            self._read_at = time.monotonic()
        return self._text[position:], len(self._text)


def _listed(reasons: dict[str, str]) -> str:
    lines = [f"  {name}: {reason}" for name, reason in reasons.items()]
    return "\n".join(["Triton does not start with these models:", *lines])
