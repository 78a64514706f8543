"""Build docker compose command lines; the caller runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

SERVICE = "triton"
GPU_FILE = "docker-compose.yml"
CPU_FILE = "ml.yml"


@dataclass(frozen=True)
class Compose:
    """The commands for one service. Without files Compose chooses: COMPOSE_FILE, or the files of its folder.

    Each command changes that service only, because the files may define a whole application.
    """

    files: tuple[Path | str, ...] = ()
    service: str = SERVICE
    profiles: tuple[str, ...] = ()
    """Enabled profiles, in place of COMPOSE_PROFILES."""

    def config(self) -> list[str]:
        """Print the merged and interpolated files as JSON, with the services of every profile."""
        # Given profiles first, for versions that treat `*` as a name.
        return self.with_profiles("*")._compose("config", "--format", "json")

    def with_profiles(self, *profiles: str) -> Compose:
        """Enable more profiles."""
        return replace(self, profiles=(*self.profiles, *profiles))

    def hash(self) -> list[str]:
        """Print the service's name and the digest of its settings, which is a label of its container."""
        return self._compose("config", "--hash", self.service)

    def create(self, *, count: int) -> list[str]:
        """Create containers of a local image until the service has `count`, without starting them.

        Dependencies are part of the digest of its settings, so after `--no-deps` plain Compose would replace it.
        """
        options = ["--no-start", "--no-recreate", "--no-build", "--pull", "never"]
        return self._compose("up", *options, "--scale", f"{self.service}={count}", self.service)

    def complete(self, service: str) -> list[str]:
        """Start another service that ends by itself, such as one that fetches models."""
        return self._compose("up", "--detach", "--no-deps", service)

    def start_others(self, *services: str) -> list[str]:
        """Start other services and their dependencies; running ones are not changed."""
        return self._compose("up", "--detach", "--no-recreate", *services)

    def container_of(self, service: str) -> list[str]:
        """Print the id of another service's container."""
        return self._compose("ps", "--all", "--quiet", service)

    def run(self, name: str, entrypoint: str, *arguments: str, ports: Sequence[str] = ()) -> list[str]:
        """Run a program in a temporary container with the settings of the service, on other ports."""
        published = [word for port in ports for word in ("--publish", port)]
        options = ["--rm", "--no-deps", "--no-TTY", "--name", name, *published, "--entrypoint", entrypoint]
        return self._compose("run", *options, self.service, *arguments)

    def start_second(self, name: str, *, ports: Sequence[str]) -> list[str]:
        """Start a second container with the settings of the service, on other ports."""
        published = [word for port in ports for word in ("--publish", port)]
        return self._compose("run", "--detach", "--no-deps", "--no-TTY", "--name", name, *published, self.service)

    def remove(self) -> list[str]:
        """Stop the containers and remove them; in old versions `down SERVICE` means all services."""
        return self._compose("rm", "--stop", "--force", self.service)

    def build(self) -> list[str]:
        """Build the image."""
        return self._compose("build", self.service)

    def pull(self) -> list[str]:
        """Pull the image."""
        return self._compose("pull", self.service)

    def ps(self) -> list[str]:
        """Print the service's containers, stopped ones too, one JSON object a line."""
        return self._compose("ps", "--all", "--format", "json", self.service)

    def logs(self, *, follow: bool = False, tail: int | None = None, since: str | None = None) -> list[str]:
        """Print the log of the container."""
        options = ["--no-log-prefix", *(["--follow"] if follow else [])]
        options += [] if tail is None else ["--tail", str(tail)]
        options += [] if since is None else ["--since", since]
        return self._compose("logs", *options, self.service)

    def _compose(self, *arguments: str) -> list[str]:
        files = [word for file in self.files for word in ("--file", str(file))]
        profiles = [word for profile in self.profiles for word in ("--profile", profile)]
        return ["docker", "compose", *files, *profiles, *arguments]
