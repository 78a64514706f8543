"""Check that a new container can start, with a temporary one, before the running one is stopped."""

from __future__ import annotations

import os

from tritonops.compose.commands import Compose
from tritonops.compose.definition import Definition
from tritonops.compose.engine.container import Container
from tritonops.compose.engine.docker import Docker, Watch, last_lines
from tritonops.compose.engine.image import inspect_image, platforms
from tritonops.compose.engine.known_failures import known_failure
from tritonops.errors import InputError

_SERVER = "tritonserver"
_ANSWER = f"Usage: {_SERVER}"  # Triton 2.51 exits with 1 after it, and has no --version
_KILLED = 137
_TIMEOUT = 120.0


def probe(docker: Docker, compose: Compose, definition: Definition, *, running: Container, watch: Watch) -> None:
    """Start the image's tritonserver with the settings of the service: platform, GPU, memory, networks, mounts, ports.

    `running` keeps its ports: only their new address is tried. Raises the error of docker's failure, or InputError if
    the image's server does not start.
    """
    image = definition.image
    if definition.has_fixed_address:
        watch("not checked whether a new container can start: its fixed address is in use")
        return
    if _SERVER not in (definition.command or _default_command(docker, image)):
        return
    ports = _ports(definition, running)
    name = f"{definition.project}-{definition.name}-probe-{os.getpid()}"
    try:
        attempt = docker.attempt(compose.run(name, _SERVER, "--help", ports=ports), timeout=_TIMEOUT)
    except BaseException:
        docker.attempt(["docker", "rm", "--force", name])
        raise
    output = attempt.stderr + attempt.stdout
    if _ANSWER in output:
        return
    if "exec format error" in output.lower():
        raise InputError(f"{platforms(docker, image)}: exec format error", hint="TRITON_IMAGE chooses the image.")
    if attempt.code == _KILLED:
        hint = "TRITON_MEMORY sets the limit, for example 8g."
        raise InputError(f"{_SERVER} was killed before it started: the memory limit is too small", hint=hint)
    raise known_failure(output) or InputError(
        f"the image {image} does not start {_SERVER}: {last_lines(output, 6) or f'exit code {attempt.code}'}",
        hint="TRITON_IMAGE must be an image of Triton.",
    )


def _ports(definition: Definition, running: Container) -> list[str]:
    found = []
    for port in definition.ports:
        address, target = str(port.get("host_ip") or ""), f"{port['target']}/{port.get('protocol', 'tcp')}"
        host = f"[{address}]" if ":" in address else address
        if str(port["published"]) not in running.host_ports:
            found.append(f"{host}:{port['published']}:{target}" if host else f"{port['published']}:{target}")
        elif host:
            found.append(f"{host}::{target}")
    return found


def _default_command(docker: Docker, image: str) -> str:
    config = (inspect_image(docker, image) or {}).get("Config") or {}
    return " ".join([*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())])
