"""Builds docker compose command lines; running them is the caller's business, here or on a host behind SSH."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SERVICE = "triton"
GPU_FILE = "docker-compose.yml"
CPU_FILE = "ml.yml"


@dataclass(frozen=True)
class Compose:
    """The commands for one service. Without files Compose chooses: COMPOSE_FILE, or what lies in the folder.

    Each touches that service alone, because the files may hold a whole application.
    """

    files: tuple[Path | str, ...] = ()
    service: str = SERVICE

    def config(self) -> list[str]:
        """Print the merged and interpolated files as JSON."""
        return self._compose("config", "--format", "json")

    def up(self, *, recreate: bool = False) -> list[str]:
        """Start the container; it is made anew where its settings changed, but not where only a secret did."""
        return self._compose("up", "--detach", "--no-deps", *(["--force-recreate"] if recreate else []), self.service)

    def down(self) -> list[str]:
        """Stop the container and remove it, and the network that nothing else uses."""
        return self._compose("down", self.service)

    def pull(self, *, quiet: bool = False) -> list[str]:
        """Fetch the image."""
        return self._compose("pull", *(["--quiet"] if quiet else []), self.service)

    def ps(self) -> list[str]:
        """Print the service's containers, stopped ones too, one JSON object a line."""
        return self._compose("ps", "--all", "--format", "json", self.service)

    def container(self) -> list[str]:
        """Print the id of the service's container, also of one that is stopped."""
        return self._compose("ps", "--all", "--quiet", self.service)

    def logs(self, *, follow: bool = False, tail: int | None = None, since: str | None = None) -> list[str]:
        """Print what the container wrote."""
        options = ["--no-log-prefix", *(["--follow"] if follow else [])]
        options += [] if tail is None else ["--tail", str(tail)]
        options += [] if since is None else ["--since", since]
        return self._compose("logs", *options, self.service)

    def _compose(self, *arguments: str) -> list[str]:
        files = [word for file in self.files for word in ("--file", str(file))]
        return ["docker", "compose", *files, *arguments]
