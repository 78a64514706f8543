"""Runs docker commands, and tells their failures apart."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tritonops.errors import (
    ComposeMissingError,
    DockerError,
    DockerMissingError,
    EnginePermissionError,
    EngineUnreachableError,
    GpuMissingError,
    InputError,
    PublishedPortTakenError,
    TritonOpsError,
)

Watch = Callable[[str], None]
"""Called with each line that a command writes, as it comes."""

_LAST_LINES = 6
_ERASE_LINE = "\033[2K"  # Compose 2.26 begins lines of a log with it, terminal or not
# What the docker command, Compose and the engine say, in versions 20.10 to 29; the first that fits counts.
_FAILURES: tuple[tuple[str, Callable[[str], TritonOpsError]], ...] = (
    (r"permission denied while trying to connect to the docker.*?(?=: (?:Get|Post|Head) |$)", EnginePermissionError),
    (
        r"(?:cannot connect to the docker daemon|failed to connect to the docker api|error during connect).*",
        EngineUnreachableError,
    ),
    (
        r"(?:bind for|listen tcp[46]?|exposing port tcp) (\S+?):? .*(?:already allocated|already in use|not available)",
        PublishedPortTakenError,
    ),
    (r"could not select device driver.*|nvidia-container-cli: .*|unresolvable CDI devices.*", GpuMissingError),
    (r"listen tcp[46]? .*: cannot assign requested address", InputError),
    (
        r"invalid value for \"\w+\": .*|no such service: .*|(?:stat|open) .*\.ya?ml: no such file or directory",
        InputError,
    ),
)


@dataclass(frozen=True)
class Docker:
    """The docker command in one folder, with variables on top of this process's own."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def output(self, command: Sequence[str]) -> str:
        """Run a command and return what it wrote to stdout."""
        with self._start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            stdout, stderr = process.communicate()
        self._check(command, process.returncode, stderr)
        return stdout

    def watch(self, command: Sequence[str], watch: Watch) -> None:
        """Run a command and pass on each line that it writes."""
        lines = []
        with self._start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                for line in process.stdout or ():
                    lines.append(line.rstrip().removeprefix(_ERASE_LINE))
                    watch(lines[-1])
            except BaseException:
                process.terminate()
                raise
        self._check(command, process.returncode, "\n".join(lines))

    def show(self, command: Sequence[str]) -> None:
        """Run a command that draws its own progress at the terminal of this process."""
        with self._start(command, stdout=sys.stderr.fileno(), stderr=None) as process:
            code = process.wait()
        self._check(command, code, "docker says above why")

    def _start(self, command: Sequence[str], *, stdout: int, stderr: int | None) -> subprocess.Popen[str]:
        environment = {**os.environ, **self.variables}
        try:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=stdout, stderr=stderr, text=True, errors="replace"
            )
        except FileNotFoundError as exc:
            raise DockerMissingError() from exc

    def _check(self, command: Sequence[str], code: int, said: str) -> None:
        if not code:
            return
        if error := known_failure(said):
            raise error
        if command[1] == "compose" and not self._has_compose():
            raise ComposeMissingError(has_v1=shutil.which("docker-compose") is not None)
        # Compose indents its progress.
        reason = "\n".join(line for line in said.splitlines() if not line.startswith(" "))
        raise DockerError(f"`{shlex.join(command)}` failed: {last_lines(reason or said, _LAST_LINES)}")

    def _has_compose(self) -> bool:
        nowhere = subprocess.DEVNULL
        with self._start(["docker", "compose", "version"], stdout=nowhere, stderr=nowhere) as process:
            return process.wait() == 0


def known_failure(said: str) -> TritonOpsError | None:
    """Recognise a failure by what docker said of it; None for what is not known."""
    for pattern, error in _FAILURES:
        if found := re.search(pattern, said, re.IGNORECASE | re.MULTILINE):
            return error(found[found.lastindex or 0])
    return None


def last_lines(text: str, count: int) -> str:
    """Cut off all but the end of a long text."""
    return "\n".join(text.strip().splitlines()[-count:])
