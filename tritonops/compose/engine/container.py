"""The containers of a service, as `docker inspect` shows them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tritonops.compose.engine.docker import Docker
from tritonops.compose.engine.machine import reachable_address
from tritonops.errors import DockerError, InputError

PREVIOUS = "-previous"
"""The suffix of a container that is kept until its replacement serves."""
EARLIER_PROJECT = "tritonops"
"""The Compose project that earlier versions used on every host."""
MODELS = "/models"
_NEVER = "0001-01-01T"


@dataclass(frozen=True)
class Container:
    """One container at the time of its inspection."""

    data: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Its full id."""
        return str(self.data["Id"])

    @property
    def name(self) -> str:
        """Its name without Docker's slash."""
        return str(self.data["Name"]).removeprefix("/")

    @property
    def image(self) -> str:
        """The name of its image, as given."""
        return str(self.data["Config"]["Image"])

    @property
    def status(self) -> str:
        """In Docker's words: created, running, paused, restarting, exited."""
        return str(self.data["State"]["Status"])

    @property
    def project(self) -> str:
        """The Compose project that it belongs to."""
        return str(self._labels.get("com.docker.compose.project"))

    @property
    def folder(self) -> str:
        """Compose's project directory at its creation; empty if there is no label."""
        return str(self._labels.get("com.docker.compose.project.working_dir", ""))

    @property
    def models_source(self) -> str:
        """The folder of the engine's machine that is mounted as its models; empty for a volume."""
        mounts = self.data.get("Mounts") or ()
        return next((str(mount.get("Source")) for mount in mounts if mount.get("Destination") == MODELS), "")

    @property
    def is_running(self) -> bool:
        """Whether its program runs, or is about to be restarted."""
        return self.status in ("running", "restarting", "paused")

    @property
    def was_started(self) -> bool:
        """Whether its program was ever started."""
        return not str(self.data["State"]["StartedAt"]).startswith(_NEVER)

    @property
    def is_previous(self) -> bool:
        """Whether it is kept until its replacement serves."""
        return self.name.endswith(PREVIOUS)

    @property
    def started_at(self) -> str:
        """The time of its last start."""
        return str(self.data["State"]["StartedAt"])

    @property
    def log_start(self) -> str | None:
        """The time after which its log is of this run: the end of the run before; None for its first run.

        Not the time of its start: Docker notes that when the program runs already, and may have written lines.
        """
        finished_at = str(self.data["State"]["FinishedAt"])
        return None if finished_at.startswith(_NEVER) else finished_at

    @property
    def host_ports(self) -> set[str]:
        """The ports of the machine that it publishes."""
        bindings = (self.data["HostConfig"].get("PortBindings") or {}).values()
        return {binding["HostPort"] for ports in bindings for binding in ports or ()}

    @property
    def memory_limit(self) -> int:
        """In bytes; 0 for none."""
        return int(self.data["HostConfig"].get("Memory") or 0)

    @property
    def shm_size(self) -> int:
        """The size of /dev/shm in bytes."""
        return int(self.data["HostConfig"].get("ShmSize") or 0)

    @property
    def logging_driver(self) -> str:
        """The logging driver: json-file, local, none, …."""
        return str(self.data["HostConfig"].get("LogConfig", {}).get("Type"))

    @property
    def config_hash(self) -> str | None:
        """Compose's digest of its settings, without the content of secrets."""
        return self._labels.get("com.docker.compose.config-hash")

    def is_defined_as(self, other: Container) -> bool:
        """Whether both were created from the same settings and image."""
        return self.config_hash == other.config_hash and self.data["Image"] == other.data["Image"]

    @property
    def is_on_host_network(self) -> bool:
        """Whether its ports are the machine's own, on which another program may already listen."""
        return bool(self.data["HostConfig"].get("NetworkMode") == "host")

    def grpc_address(self, machine: str | None) -> str:
        """Give the address of its gRPC port from this machine; `machine` is the engine's, None for this one.

        Raises InputError if none is published, or none can be reached.
        """
        if self.is_on_host_network:
            return reachable_address("", "8001", machine)
        published = self.data["NetworkSettings"]["Ports"].get("8001/tcp")
        if not published:
            raise InputError(
                f"the service {self._labels.get('com.docker.compose.service')} publishes no port for gRPC, 8001 in the"
                " container",
                hint="tritonops controls Triton over gRPC: publish it, on 127.0.0.1.",
            )
        return reachable_address(published[0]["HostIp"], published[0]["HostPort"], machine)

    @property
    def _labels(self) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.data["Config"].get("Labels") or {}
        return labels


def inspect(docker: Docker, container: Container) -> Container:
    """Inspect a container again. Raises DockerError if it was removed."""
    (data,) = json.loads(docker.output(["docker", "inspect", container.id]))
    return Container(data)


def read_secret(docker: Docker, container: Container, name: str) -> str:
    """Read a secret that Compose copied into the container; empty without one."""
    import io
    import tarfile

    attempt = docker.attempt(["docker", "cp", f"{container.id}:/run/secrets/{name}", "-"])
    if attempt.code:
        return ""
    with tarfile.open(fileobj=io.BytesIO(attempt.stdout.encode())) as archive:
        member = archive.extractfile(name)
        return member.read().decode() if member else ""


def read_log(
    docker: Docker, container: Container, *, tail: int, since: str | None = None, until: str | None = None
) -> str:
    """Read the end of the log between two times, or say in one line why there is none."""
    lines: list[str] = []
    options = ["--tail", str(tail), *(["--since", since] if since else []), *(["--until", until] if until else [])]
    try:
        docker.watch(["docker", "logs", *options, container.id], lines.append)
    except DockerError:
        return f"(no log: Docker keeps none with the logging driver {container.logging_driver!r})"
    return "\n".join(lines)


def exit_codes(docker: Docker, container: Container) -> list[int]:
    """List the exit codes of a container's program since its inspection; it may run again."""
    window = ["--since", container.started_at, "--until", str(int(time.time()) + 1)]
    filters = ["--filter", f"container={container.id}", "--filter", "event=die"]
    attempt = docker.attempt(["docker", "events", *window, *filters, "--format", "{{.Actor.Attributes.exitCode}}"])
    return [int(line) for line in attempt.stdout.split() if line.isdigit()]
