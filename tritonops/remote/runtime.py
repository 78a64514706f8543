"""The Triton of a host, embedded or in Compose: started where it is not up, anew only where its definition changed."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tritonops.compose.serving import SERVING_NOW
from tritonops.documents import MAX_RECORD
from tritonops.dotenv import format_line, parse, read_bytes
from tritonops.errors import TritonOpsError, TritonUnreachableError, UnreadableFileError
from tritonops.files import read_text_if_present
from tritonops.remote.layout import Layout, Release
from tritonops.settings import load_settings
from tritonops.triton.client import connect

_SERVER_CODE = ("tritonops/server", "docker-compose.yml", "ml.yml")
LOGS = {"embedded": ("server.logs", "--lines"), "compose": ("compose.logs", "--tail")}
RESTART = {"embedded": "server.restart", "compose": "compose.restart"}
DOWN = {"embedded": "server.down", "compose": "compose.down"}


@dataclass(frozen=True)
class Runtime:
    """What serves the models of a host, as `release` defines it."""

    layout: Layout
    release: Release | None

    def up(self, *, report: Callable[[str], None]) -> bool:
        """Bring it up as the release defines it, and return whether it was started: then it has loaded what is on disk.

        Left alone where it is up. Raises TritonOpsError where nothing answers afterwards.
        """
        assert self.release
        defined = self._definition(self.release)
        if self._started_with() == defined and self._answers(self.release):
            return False
        report("start Triton anew: its definition changed" if self._started_with() else "start Triton")
        self._forget()
        facts = self.release.facts
        done = self._task(self.release, RESTART[facts.runtime], *facts.files)
        is_rolled_back = done.returncode != 0 and SERVING_NOW in done.stdout
        if is_rolled_back or not self._answers(self.release):
            raise TritonOpsError(f"Triton did not come up\n{_last(done.stdout)}")
        self.layout.runtime.write_text(defined, encoding="utf-8")
        return True

    def down(self) -> None:
        """Stop it."""
        release = self.release or self._any_release()
        if release and self._started_with():
            self._task(release, DOWN[release.facts.runtime], *release.facts.files)
        self._forget()

    def last_lines(self) -> str:
        """Give the end of its log; empty where it cannot be had."""
        release = self.release or self._any_release()
        if release is None:
            return ""
        embedded = release.facts.runtime == "embedded"
        done = self._task(
            release, *(["server.logs", "--lines", "15"] if embedded else ["compose.logs", "--tail", "15"])
        )
        return "" if done.returncode else _last(done.stdout)

    def _definition(self, release: Release) -> str:
        """Digest all that a running server was started with: code, environment, settings; not the models."""
        digest = hashlib.sha256(f"{release.facts.runtime} {release.facts.config} {release.facts.venv}\n".encode())
        for path in _files(release.project):
            digest.update(path.read_bytes())
        for line in self._settings():
            digest.update(line)
        return digest.hexdigest()

    def _settings(self) -> Iterator[bytes]:
        if self.layout.env.exists():
            env = self.layout.env
            for name, variable in parse(read_bytes(env), os.environ.get, where=str(env)).items():
                if not name.startswith("HF_"):
                    yield format_line(name, variable.value).encode()

    def _started_with(self) -> str | None:
        try:
            return read_text_if_present(self.layout.runtime, MAX_RECORD)
        except UnreadableFileError:
            return "unreadable"  # no definition has this digest

    def _forget(self) -> None:
        self.layout.runtime.unlink(missing_ok=True)

    def _answers(self, release: Release) -> bool:
        settings = load_settings(release.project)
        with connect(settings.triton_url, token=settings.triton_token) as client:
            try:
                client.index()
            except TritonUnreachableError:
                return False
        return True

    def _any_release(self) -> Release | None:
        names = self.layout.names()
        return self.layout.release(names[-1]) if names else None

    def _task(self, release: Release, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a task whatever it answers: one bad model makes `up` fail, and the others are served."""
        return subprocess.run(
            [str(release.inv), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )


def _files(project: Path) -> list[Path]:
    found = [path for name in _SERVER_CODE for path in (project / name, *(project / name).rglob("*"))]
    return sorted(path for path in found if path.is_file() and path.suffix != ".pyc")


def _last(output: str, count: int = 15) -> str:
    return "\n".join(f"  {line}" for line in output.strip().splitlines()[-count:])
