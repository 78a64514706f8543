"""The services that must run, or must have run, before Triton: `depends_on`, as plain Compose takes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tritonops.compose.commands import Compose
from tritonops.compose.engine import Docker, Watch, last_lines
from tritonops.errors import DockerTimeoutError, ServiceError

_COMPLETED = "service_completed_successfully"
_LOG_LINES = 15


def start_dependencies(
    docker: Docker, compose: Compose, services: Mapping[str, Any], *, watch: Watch, timeout: float
) -> None:
    """Run the services that have to end before ours, such as one that fetches models, and start the others.

    A running one is left as it is. Raises ServiceError with the end of the log where one fails, before ours is touched.
    """
    for names, completed in _in_order(services, compose.service):
        if completed:
            _complete(docker, compose, names, watch=watch, timeout=timeout)
        else:
            docker.watch(compose.start_others(names), watch)


def _in_order(services: Mapping[str, Any], name: str) -> Iterator[tuple[str, bool]]:
    """Give each dependency of a service after its own, and whether it has to end."""
    given: set[str] = set()

    def visit(service: str) -> Iterator[tuple[str, bool]]:
        depends_on = services[service].get("depends_on") or {}
        for other, how in depends_on.items():
            if other not in services or other in given:
                continue
            given.add(other)
            if how.get("condition") == _COMPLETED:
                yield from visit(other)
                yield other, True
            else:
                yield other, False

    yield from visit(name)


def _complete(docker: Docker, compose: Compose, name: str, *, watch: Watch, timeout: float) -> None:
    watch(f"running {name}, which {compose.service} waits for")
    docker.watch(compose.complete(name), lambda line: None)
    container = docker.output(compose.container_of(name)).split()[-1]
    try:
        code = docker.output(["docker", "wait", container], timeout=timeout).strip()
    except DockerTimeoutError as exc:
        raise ServiceError(f"{name} did not end within {timeout:g} s", hint=f"docker logs {container[:12]}") from exc
    if code != "0":
        log = docker.attempt(["docker", "logs", "--tail", str(_LOG_LINES), container])
        raise ServiceError(
            f"{name} ended with exit code {code}, so {compose.service} was not started. Its log ends:\n"
            + last_lines(f"{log.stdout}\n{log.stderr}", _LOG_LINES)
        )
