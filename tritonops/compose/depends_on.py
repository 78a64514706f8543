"""Start the services that Triton depends on, with the conditions of `depends_on`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tritonops.compose.commands import Compose
from tritonops.compose.definition import replicas
from tritonops.compose.engine.docker import Docker, Watch, last_lines
from tritonops.errors import DockerTimeoutError, ServiceError, TritonOpsError
from tritonops.triton.client.waiting import Deadline

_COMPLETED = "service_completed_successfully"
_HEALTHY = "service_healthy"
_LOG_LINES = 15
_HEALTH = "{{if .State.Running}}{{if .State.Health}}{{.State.Health.Status}}{{else}}healthy{{end}}{{else}}ended{{end}}"


def start_dependencies(
    docker: Docker, compose: Compose, services: Mapping[str, Any], *, watch: Watch, timeout: float
) -> None:
    """Run the services that have to end before ours, such as one that fetches models, and start the others.

    A running one is not changed, and waited for only if it has to be healthy. Raises ServiceError with the end of the
    log if one fails; the failure of one with `required: false` is a warning.
    """
    for name, options in _in_order(services, compose.service):
        try:
            _start(docker, compose, name, str(options.get("condition")), watch=watch, timeout=timeout)
        except TritonOpsError as exc:
            if options.get("required", True):
                raise
            watch(f"warning: {compose.service} starts without {name}: {exc}")


def _in_order(services: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give each dependency of a service after its own dependencies, with its condition."""
    given: set[str] = set()

    def visit(service: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        depends_on = services[service].get("depends_on") or {}
        for other, options in depends_on.items():
            if other not in services or other in given or not replicas(services[other]):
                continue
            given.add(other)
            if options.get("condition") == _COMPLETED:
                yield from visit(other)
            yield other, options

    yield from visit(name)


def _start(docker: Docker, compose: Compose, name: str, condition: str, *, watch: Watch, timeout: float) -> None:
    if condition == _COMPLETED:
        watch(f"running {name}, which {compose.service} waits for")
        docker.watch(compose.complete(name), lambda line: None)
        _wait_for_end(docker, compose, name, timeout)
        return
    docker.watch(compose.start_others(name), watch)
    if condition == _HEALTHY:
        watch(f"waiting until {name} is healthy")
        _wait_for_health(docker, compose, name, timeout)


def _wait_for_end(docker: Docker, compose: Compose, name: str, timeout: float) -> None:
    containers = docker.output(compose.container_of(name)).split()
    try:
        codes = docker.output(["docker", "wait", *containers], timeout=timeout).split()
    except DockerTimeoutError as exc:
        hint = f"docker logs {containers[-1][:12]}"
        raise ServiceError(f"{name} did not end within {timeout:g} s", hint=hint) from exc
    for container, code in zip(containers, codes, strict=True):
        if code != "0":
            raise _failure(docker, container, f"{name} ended with exit code {code}")


def _wait_for_health(docker: Docker, compose: Compose, name: str, timeout: float) -> None:
    containers = docker.output(compose.container_of(name)).split()
    for _ in Deadline.after(timeout).polls():
        states = docker.output(["docker", "inspect", "--format", _HEALTH, *containers]).split()
        if all(state == "healthy" for state in states):
            return
        for container, state in zip(containers, states, strict=True):
            if state in ("ended", "unhealthy"):
                raise _failure(docker, container, f"{name} is {state}")
    raise _failure(docker, containers[-1], f"{name} was not healthy after {timeout:g} s")


def _failure(docker: Docker, container: str, problem: str) -> ServiceError:
    attempt = docker.attempt(["docker", "logs", "--tail", str(_LOG_LINES), container])
    log = last_lines(f"{attempt.stdout}\n{attempt.stderr}", _LOG_LINES)
    return ServiceError(f"{problem}. Its log {'ends:' if log else 'is empty.'}\n{log}".rstrip())
