"""A start that no single model keeps from serving the others: what hangs or crashes it is found, named and left out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tritonops.compose.engine.container import Container, inspect, read_log
from tritonops.compose.engine.docker import Docker, Watch
from tritonops.compose.interruption import Interruption
from tritonops.compose.serving import BadStartError, ServedContainer, ServingResult
from tritonops.errors import ServiceError
from tritonops.triton.client.waiting import Deadline
from tritonops.triton.startup.exclude_file import ExcludeFile
from tritonops.triton.startup.loading import Loading

_LOG_PERIOD = 0.5


@dataclass(frozen=True)
class Start:
    """Waits for containers of one service, and starts one again without the models that kept Triton from starting."""

    docker: Docker
    folder: Path | None
    token: str | None
    watch: Watch
    interruption: Interruption
    model_timeout: float | None

    def wait(self, container: Container, timeout: float, *, is_new: bool) -> ServingResult:
        """Return once Triton has tried to load every model that the exclude file does not name.

        Raises ServiceError with the cause and the end of the log, and TokenRefusedError.
        """
        deadline = Deadline.after(timeout)
        served, suspects = self._wait(container, deadline, is_new=is_new)
        return self._try_suspects(container, suspects, deadline) if suspects else served

    def _wait(self, container: Container, deadline: Deadline, *, is_new: bool) -> tuple[ServingResult, set[str]]:
        """Wait, and start again without what hung or crashed the start; return the suspects, which are left out too."""
        suspects: set[str] = set()
        while True:
            try:
                return self._server(container).wait(deadline.left, is_new=is_new), suspects
            except BadStartError as exc:
                suspects |= self._leave_out(exc)
                self._restart(container)
                is_new = True

    def _leave_out(self, error: BadStartError) -> set[str]:
        """Exclude them, and return those that are only suspects, with the ensembles that have them for a step."""
        reasons = error.reasons | error.suspects
        if self.folder is None:
            raise ServiceError(_listed(reasons), hint="Mend these models, or take them out of the volume.")
        exclude = ExcludeFile(self.folder)
        if reasons.keys() <= exclude.reasons().keys():
            hint = f"The start command of ml.yml leaves out the models of {exclude.path}; this service has another one."
            raise ServiceError(_listed(reasons), hint=hint)
        certain = exclude.add(error.reasons)
        suspects = exclude.add(error.suspects, is_certain=False).keys() - certain.keys()
        for name, reason in error.reasons.items():
            self.watch(f"starting again without {name}: {reason}")
        if suspects:
            self.watch(f"starting again without {', '.join(sorted(suspects))}, which are loaded by calls then")
        return suspects

    def _try_suspects(self, container: Container, suspects: set[str], deadline: Deadline) -> ServingResult:
        """Load by calls what may have hung or crashed the start; each that is served then is left out no more."""
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
            self._restart(container)  # a load that never ends keeps a thread, and the stop waiting
        return self._wait(container, deadline, is_new=True)[0]

    def _load(self, container: Container, loading: Loading, deadline: Deadline) -> bool:
        """Whether Triton survived the loads."""
        run = _ContainerRun(self.docker, inspect(self.docker, container))
        return loading.run(run.url, run.read_log, run.is_alive, token=self.token, deadline=deadline)

    def _restart(self, container: Container) -> None:
        """Kill it, as it answers nobody, and start it again."""
        with self.interruption.postponed():
            self.docker.output(["docker", "restart", "-t", "0", container.id])

    def _server(self, container: Container) -> ServedContainer:
        return ServedContainer(
            self.docker, inspect(self.docker, container), self.folder, self.token, self.model_timeout
        )


class _ContainerRun:
    """One run of a container's program, for as long as it is not started again."""

    def __init__(self, docker: Docker, container: Container) -> None:
        self._docker, self._container = docker, container
        self._text, self._read_at = "", 0.0
        self.url = container.grpc_address(docker.machine)

    def is_alive(self) -> bool:
        now = inspect(self._docker, self._container)
        return now.status == "running" and now.started_at == self._container.started_at

    def read_log(self, position: int) -> tuple[str, int]:
        if time.monotonic() - self._read_at > _LOG_PERIOD:
            self._text = read_log(self._docker, self._container, tail=100_000, since=self._container.started_at)
            self._read_at = time.monotonic()
        return self._text[position:], len(self._text)


def _listed(reasons: dict[str, str]) -> str:
    lines = [f"  {name}: {reason}" for name, reason in reasons.items()]
    return "\n".join(["Triton does not start with these models:", *lines])
