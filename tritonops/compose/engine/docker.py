"""Run docker commands, and recognize their failures."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tritonops.compose.engine.known_failures import known_failure
from tritonops.compose.engine.machine import engine_machine
from tritonops.errors import (
    ComposeMissingError,
    ComposeTooOldError,
    DockerError,
    DockerMissingError,
    DockerTimeoutError,
    EngineUnreachableError,
)
from tritonops.process_environment import inherited, runtime_dir

Watch = Callable[[str], None]
"""Called with each line of a command's output."""

OLDEST_COMPOSE = (2, 20)
"""The first version with `include`; in older ones some commands change the whole application."""
_LAST_LINES = 6
_SECURITY = ("info", "--format", "{{.SecurityOptions}}")
_ROOTLESS = "name=rootless"
_QUICK = 5.0
_ERASE_LINE = "\033[2K"  # Compose 2.26 begins lines of a log with it, terminal or not


@dataclass(frozen=True)
class Attempt:
    """An ended command: its exit code and output."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Docker:
    """The docker command in one folder, with additional environment variables."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def machine(self) -> str | None:
        """The machine of docker's engine, by DOCKER_HOST or its context; None for this one."""
        command = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
        return engine_machine(self.output(command).strip())

    @cached_property
    def is_rootless(self) -> bool:
        """Whether the engine is rootless, so that a container's root is the engine's user."""
        return _ROOTLESS in self.output(["docker", *_SECURITY])

    def output(self, command: Sequence[str], *, timeout: float | None = None) -> str:
        """Run a command and return its stdout. Raises DockerError, also after `timeout` seconds."""
        attempt = self.attempt(command, timeout=timeout)
        self._check(command, attempt.code, attempt.stderr)
        return attempt.stdout

    def attempt(self, command: Sequence[str], *, timeout: float | None = None) -> Attempt:
        """Run a command that is allowed to fail."""
        with self._running(command, timeout, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            stdout, stderr = process.communicate()
        return Attempt(process.returncode, stdout, stderr)

    def watch(self, command: Sequence[str], watch: Watch, *, timeout: float | None = None) -> None:
        """Run a command and pass on each line of its output. Raises DockerError, also after `timeout` seconds."""
        lines = []
        with self._running(command, timeout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            for line in process.stdout or ():
                lines.append(line.rstrip().removeprefix(_ERASE_LINE))
                watch(lines[-1])
        self._check(command, process.returncode, "\n".join(lines))

    def show(self, command: Sequence[str], *, timeout: float | None = None) -> None:
        """Run a command that draws its own progress at the terminal."""
        with self._running(command, timeout, stdout=sys.stderr.fileno(), stderr=None, in_foreground=True) as process:
            code = process.wait()
        self._check(command, code, "see docker's output above")

    @contextmanager
    def _running(
        self,
        command: Sequence[str],
        timeout: float | None,
        *,
        stdout: int,
        stderr: int | None,
        in_foreground: bool = False,
    ) -> Iterator[subprocess.Popen[str]]:
        """Run a command for the length of a block, and terminate it if the block fails."""
        with self._start(command, stdout=stdout, stderr=stderr, in_foreground=in_foreground) as process:
            expired = threading.Event()

            def end() -> None:
                expired.set()
                process.terminate()

            timer = threading.Timer(timeout or 0, end)
            timer.daemon = True
            if timeout is not None:
                timer.start()
            try:
                yield process
            except BaseException:
                process.terminate()
                raise
            finally:
                timer.cancel()
        if expired.is_set():
            raise DockerTimeoutError(f"`{shlex.join(command)}` did not end within {timeout:g} s")

    def _start(
        self, command: Sequence[str], *, stdout: int, stderr: int | None, in_foreground: bool = False
    ) -> subprocess.Popen[str]:
        environment = {**inherited(), **self.variables}
        try:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=None if in_foreground else subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                text=True,
                errors="replace",
                # Ctrl-C must not reach a command that rolls something back.
                process_group=None if in_foreground else 0,
            )
        except FileNotFoundError as exc:
            raise DockerMissingError() from exc

    def _check(self, command: Sequence[str], code: int, output: str) -> None:
        if not code:
            return
        if error := known_failure(output):
            if isinstance(error, EngineUnreachableError) and (endpoint := self._rootless_endpoint()):
                error.hint = f"A rootless engine of this user answers at {endpoint}: docker context use rootless"
            raise error
        if command[1] == "compose" and not self._has_compose():
            raise ComposeMissingError(has_v1=shutil.which("docker-compose") is not None)
        # Compose indents its progress.
        reason = "\n".join(line for line in output.splitlines() if not line.startswith(" "))
        raise DockerError(f"`{shlex.join(command)}` failed: {last_lines(reason or output, _LAST_LINES)}")

    def _rootless_endpoint(self) -> str | None:
        """Give the endpoint of this user's own engine, if a rootless one answers there."""
        socket = runtime_dir() / "docker.sock"
        endpoint = f"unix://{socket}"
        if not socket.is_socket():
            return None
        answer = self.attempt(["docker", "--host", endpoint, *_SECURITY], timeout=_QUICK)
        return endpoint if _ROOTLESS in answer.stdout else None

    def require_compose(self) -> None:
        """Raise ComposeMissingError or ComposeTooOldError."""
        version = self.output(["docker", "compose", "version", "--short"]).strip()
        numbers = re.match(r"v?(\d+)\.(\d+)", version)
        if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST_COMPOSE:
            raise ComposeTooOldError(version, ".".join(map(str, OLDEST_COMPOSE)))

    def _has_compose(self) -> bool:
        null = subprocess.DEVNULL
        with self._start(["docker", "compose", "version"], stdout=null, stderr=null) as process:
            return process.wait() == 0


def last_lines(text: str, count: int) -> str:
    """Give the last lines of a text."""
    return "\n".join(text.strip().splitlines()[-count:])
