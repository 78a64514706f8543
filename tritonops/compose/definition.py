"""One service of the Compose files: merged by Compose, or read as text, without Docker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tritonops.compose.commands import CPU_FILE, GPU_FILE
from tritonops.compose.engine.machine import reachable_address
from tritonops.errors import InputError, near_misses
from tritonops.settings import Settings

_GRPC_PORT = 8001


@dataclass(frozen=True)
class Definition:
    """One service of `docker compose config`, and the name of the project."""

    project: str
    name: str
    service: Mapping[str, Any]

    @classmethod
    def of(cls, config: Mapping[str, Any], name: str) -> Definition:
        """Find the service. Raises InputError if the files do not have it."""
        services = config.get("services") or {}
        if name not in services:
            raise InputError(
                f"the Compose files have no service {name!r}", hint=near_misses(name, services, "services")
            )
        return cls(config["name"], name, services[name])

    def require_single(self) -> None:
        """Raise InputError if the files define several containers of the service, or none."""
        if (count := replicas(self.service)) != 1:
            why = "but only one can have its ports" if count else "so plain Compose starts none"
            raise InputError(
                f"the service {self.name} has {count} containers, {why}",
                hint="Remove `scale` or `deploy.replicas` from it.",
            )

    def require_reachable(self, machine: str | None) -> None:
        """Raise InputError if the gRPC port can only be reached on `machine`, the engine's."""
        for port in self.ports:
            if port["target"] == _GRPC_PORT:
                reachable_address(port.get("host_ip", ""), str(port["published"]), machine)

    def require_closed_network(self, token: str | None) -> None:
        """Raise InputError if the host's network would open the control APIs to everybody."""
        if self.service.get("network_mode") == "host" and not token and "--grpc-address" not in self.command:
            raise InputError(
                f"the service {self.name} has `network_mode: host`: Triton would listen on every address of the "
                "machine, and any client of port 8001 controls it",
                hint="Set TRITON_TOKEN, or remove `network_mode`: then the ports are published on TRITON_BIND.",
            )

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles that enable it; empty if it is always enabled."""
        return tuple(self.service.get("profiles") or ())

    @property
    def image(self) -> str:
        """The image's name: the given one, or Compose's name for an image that is only built."""
        return str(self.service.get("image") or f"{self.project}-{self.name}")

    @property
    def is_built(self) -> bool:
        """Whether the files have a build section."""
        return bool(self.service.get("build"))

    @property
    def pull_policy(self) -> str | None:
        """`always`, `never`, `build`, …; None for Compose's default."""
        policy: str | None = self.service.get("pull_policy")
        return policy

    @property
    def has_fixed_name(self) -> bool:
        """Whether `container_name` allows no second container."""
        return bool(self.service.get("container_name"))

    @property
    def has_fixed_address(self) -> bool:
        """Whether a temporary container would have the same network address as the running one."""
        networks = [network or {} for network in (self.service.get("networks") or {}).values()]
        return any({"ipv4_address", "ipv6_address", "mac_address"} & network.keys() for network in networks)

    @property
    def command(self) -> str:
        """Entry point and command as one text; empty for those of the image."""
        words = [self.service.get("entrypoint") or [], self.service.get("command") or []]
        return " ".join(" ".join([part] if isinstance(part, str) else part) for part in words).strip()

    @property
    def ports(self) -> tuple[Mapping[str, Any], ...]:
        """The published ports, each with target, published, protocol and an optional host_ip."""
        return tuple(port for port in self.service.get("ports") or () if str(port.get("published", "")).isdecimal())

    @property
    def models_source(self) -> Path | None:
        """The folder that is mounted as /models; None for a named volume, or without a mount."""
        for volume in self.service.get("volumes") or ():
            if volume.get("target") == "/models" and volume.get("type") == "bind":
                return Path(volume["source"])
        return None

    @property
    def host_root(self) -> Path | None:
        """The folder of remote deploys whose `shared/triton` has the models; None if there is none."""
        source = self.models_source
        if source and (source.parent.name, source.name) == ("shared", "triton"):
            root = source.parent.parent
            return root if (root / "releases").is_dir() else None
        return None


def replicas(service: Mapping[str, Any]) -> int:
    """Give the number of containers of a service."""
    deploy = service.get("deploy") or {}
    return next((int(count) for count in (service.get("scale"), deploy.get("replicas")) if count is not None), 1)


def statements(files: Iterable[Path]) -> Iterator[str]:
    """List the lines of those files that exist, without comments."""
    for path in files:
        if path.is_file():
            lines = path.read_text("utf-8", errors="replace").splitlines()
            yield from (line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def completes_configs(settings: Settings) -> bool:
    """Whether Triton completes configs in this project's service, as it does unless it is started with this option."""
    files = [settings.project / CPU_FILE, settings.project / GPU_FILE, *settings.environment.compose_files]
    return not any("--disable-auto-complete-config" in line for line in statements(files))
