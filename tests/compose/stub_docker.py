"""A docker program on PATH that prints what a test gives it, for states that no engine can reach quickly."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tritonops.compose.engine.container import Container
from tritonops.compose.engine.docker import Docker


class StubDocker:
    """Answers the commands that fit a pattern of the shell; the first pattern that was given counts."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._cases = folder, list[str]()
        folder.mkdir()
        self._write()

    @property
    def docker(self) -> Docker:
        return Docker(self._folder, {"PATH": f"{self._folder}{os.pathsep}{os.environ['PATH']}"})

    @property
    def calls(self) -> list[str]:
        """The commands so far, without the word docker."""
        path = self._folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def answer(self, pattern: str, *outputs: str, code: int = 0, stderr: str = "") -> None:
        """Print one output a call, and the last one from then on."""
        number = len(self._cases)
        for index, output in enumerate(outputs or ("",)):
            (self._folder / f"{number}.{index}").write_text(output)
        (self._folder / f"{number}.err").write_text(stderr)
        place = f"{self._folder}/{number}"
        self._cases.append(
            f"  {pattern.replace(' ', chr(92) + ' ')}) n=$(cat {place}.n 2>/dev/null || echo 0)\n"
            f"    [ -e {place}.$((n + 1)) ] && echo $((n + 1)) >{place}.n\n"
            f"    cat {place}.$n; cat {place}.err >&2; exit {code};;\n"
        )
        self._write()

    def inspected(self, pattern: str, *containers: dict[str, Any]) -> None:
        """Answer inspections, one container a call."""
        self.answer(pattern, *(json.dumps([container]) for container in containers))

    def _write(self) -> None:
        script = self._folder / "docker"
        script.write_text(
            f'#!/bin/sh\necho "$*" >>{self._folder}/calls\ncase "$*" in\n{"".join(self._cases)}esac\nexit 0\n'
        )
        script.chmod(0o755)


@pytest.fixture
def stub(tmp_path: Path) -> StubDocker:
    return StubDocker(tmp_path / "stub")


def data(name: str = "app-triton-1", *, id: str = "1" * 12, status: str = "running", **changes: Any) -> dict[str, Any]:
    """What `docker inspect` prints of a container, as far as it is read."""
    made: dict[str, Any] = {
        "Id": id,
        "Name": f"/{name}",
        "Image": "sha256:image",
        "Created": "2026-01-01T00:00:00Z",
        "RestartCount": 0,
        "Config": {
            "Image": "triton:latest",
            "Labels": {
                "com.docker.compose.project": "app",
                "com.docker.compose.service": "triton",
                "com.docker.compose.config-hash": "hash",
                "com.docker.compose.project.working_dir": "/srv/app",
            },
        },
        "State": {
            "Status": status,
            "StartedAt": "2026-01-01T00:00:00Z",
            "FinishedAt": "0001-01-01T00:00:00Z",
            "ExitCode": 0,
            "Running": status == "running",
        },
        "HostConfig": {"PortBindings": {"8001/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9001"}]}},
        "NetworkSettings": {"Ports": {"8001/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9001"}]}},
        "Mounts": [{"Destination": "/models", "Source": "/srv/app/triton"}],
    }
    for key, value in changes.items():
        made[key] = {**made[key], **value} if isinstance(made.get(key), dict) else value
    return made


def container(name: str = "app-triton-1", **options: Any) -> Container:
    return Container(data(name, **options))
