"""Run kubectl: teams have their contexts, their login plugins and their rights in it.

Each call is one process with a list of arguments, for one context and one namespace. Settings that would change what a
command does or prints are left out of its environment.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

from tritonops.compose.engine.docker import Attempt
from tritonops.errors import (
    ClusterUnreachableError,
    KubectlError,
    KubectlMissingError,
    KubectlTooOldError,
    PortForwardError,
)
from tritonops.kubernetes.cluster.failures import known_failure, without_logs
from tritonops.kubernetes.manifests.names import Manifest
from tritonops.kubernetes.targets.target import Target
from tritonops.process_environment import inherited

OLDEST = (1, 25)
"""The first kubectl whose kustomize reads what is rendered, and whose server-side diff compares all of it."""
_QUICK = 60.0
_ENDING = 2.0
_LAST_LINES = 50
_THEIRS = ("KUBECTL_EXTERNAL_DIFF", "KUBECTL_APPLYSET", "KUBECTL_INTERACTIVE_DELETE", "KUBERC")
_OURS = {"LC_ALL": "C", "KUBECTL_KUBERC": "false", "KUBERC": "off"}
_FORWARDED = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ->")
# kubectl ends with the shell's stdin, which ends with us: kill -9 leaves no forwarding behind.
_END_WITH_STDIN = '"$@" 2>&1 & child=$!; exec >/dev/null 2>&1; cat; kill "$child"; wait'


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one context and namespace."""

    context: str
    namespace: str
    program: str = "kubectl"

    @classmethod
    def of(cls, target: Target) -> Kubectl:
        """Find kubectl for a target. Raises KubectlMissingError."""
        program = shutil.which("kubectl")
        if program is None:
            raise KubectlMissingError
        return cls(target.context, target.namespace, program)

    def output(self, words: Sequence[str], *, stdin: str | None = None, timeout: float = _QUICK) -> str:
        """Run a command and return its stdout. Raises KubectlError and its like."""
        attempt = self.attempt(words, stdin=stdin, timeout=timeout)
        self.check(words, attempt)
        return attempt.stdout

    def attempt(self, words: Sequence[str], *, stdin: str | None = None, timeout: float = _QUICK) -> Attempt:
        """Run a command that is allowed to fail. Raises ClusterUnreachableError after `timeout` seconds."""
        process = self._start(self._command(words), has_stdin=stdin is not None)
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired as exc:
            self._end(process, patience=0)
            raise ClusterUnreachableError(
                f"the cluster of the context {self.context} did not answer within {timeout:g} s",
                hint=f"kubectl --context {shlex.quote(self.context)} get --raw /readyz",
            ) from exc
        except BaseException:
            self._end(process)
            raise
        return Attempt(process.returncode, stdout, stderr)

    def check(self, words: Sequence[str], attempt: Attempt) -> None:
        """Raise what a failed command's output says."""
        if not attempt.code:
            return
        text = without_logs(attempt.stderr) or attempt.stdout or attempt.stderr
        if error := known_failure(text, context=self.context, namespace=self.namespace):
            raise error
        raise KubectlError(f"`kubectl {words[0]}` failed: {text.strip()}")

    def json(self, words: Sequence[str]) -> Any:
        """Run a command that prints JSON."""
        text = self.output([*words, "--output=json"])
        try:
            return json.loads(text)
        except ValueError as exc:
            raise KubectlError(f"`kubectl {words[0]}` printed no JSON: {exc}") from exc

    def objects(self, words: Sequence[str]) -> list[Manifest]:
        """Run a `get` of several objects."""
        found: list[Manifest] = self.json(["get", *words])["items"]
        return found

    def server_version(self) -> str:
        """Ask for the cluster's version: "v1.34.2". Raises KubectlTooOldError, too."""
        answer = self.json(["version"])
        client = answer.get("clientVersion", {})
        number = _number(client.get("major")), _number(client.get("minor"))
        if number < OLDEST:
            raise KubectlTooOldError(str(client.get("gitVersion")), ".".join(map(str, OLDEST)))
        return str(answer["serverVersion"]["gitVersion"])

    def watch(self, words: Sequence[str], on_output: Callable[[bytes], None]) -> None:
        """Run a command whose output is passed on as it comes. Raises KubectlError."""
        process = self._start(self._command(words), text=False)
        assert isinstance(process.stdout, BufferedReader)
        assert process.stderr
        errors = deque[bytes](maxlen=_LAST_LINES)
        # A command that nobody reads the errors of would stop at a full pipe.
        reader = threading.Thread(target=errors.extend, args=(process.stderr,), daemon=True)
        reader.start()
        try:
            while data := process.stdout.read1():
                on_output(data)
            process.wait()
            reader.join(_ENDING)
        finally:
            self._end(process, patience=0)
        self.check(words, Attempt(process.returncode, "", b"".join(errors).decode(errors="replace")))

    @contextmanager
    def port_forward(self, pod: str, port: int, *, timeout: float = 30.0) -> Iterator[int]:
        """Forward a free port of the loopback interface to one of a pod, for the length of a block.

        Raises PortForwardError, also where nothing is forwarded within `timeout` seconds. It ends with this process,
        however that ends.
        """
        words = ["port-forward", f"pod/{pod}", f":{port}", "--address=127.0.0.1"]
        process = self._start(["sh", "-c", _END_WITH_STDIN, "sh", *self._command(words)], has_stdin=True)
        assert process.stdin
        assert process.stdout
        lines = list[str]()
        timer = threading.Timer(timeout, self._signal, (process, signal.SIGKILL))
        timer.start()
        try:
            for line in process.stdout:
                lines.append(line)
                if found := _FORWARDED.match(line):
                    # It prints a line for each connection, and would wait for somebody to read it.
                    reader = threading.Thread(target=deque, args=(process.stdout, 0), daemon=True)
                    reader.start()
                    timer.cancel()
                    yield int(found[1])
                    process.stdin.close()
                    reader.join(_ENDING)
                    return
            text = "".join(lines)
            if error := known_failure(text, context=self.context, namespace=self.namespace):
                raise error
            raise PortForwardError(pod, without_logs(text) or "nothing was forwarded")
        finally:
            timer.cancel()
            with suppress(OSError):
                process.stdin.close()
            self._end(process)

    def _command(self, words: Sequence[str]) -> list[str]:
        return [self.program, f"--context={self.context}", f"--namespace={self.namespace}", *words]

    def _start(self, command: Sequence[str], *, has_stdin: bool = False, text: bool = True) -> subprocess.Popen[Any]:
        environment = {name: value for name, value in inherited().items() if name not in _THEIRS} | _OURS
        try:
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE if has_stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=text,
                errors="replace" if text else None,
                # Ctrl-C must not reach a command that changes something.
                process_group=0,
            )
        except FileNotFoundError as exc:
            raise KubectlMissingError from exc

    @classmethod
    def _end(cls, process: subprocess.Popen[Any], *, patience: float = _ENDING) -> None:
        """Wait for a process that has nothing more to do, and end one that goes on after `patience` seconds.

        What it started, such as a login plugin, ends with it.
        """
        try:
            process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            cls._signal(process, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_ENDING)
            cls._signal(process, signal.SIGKILL)
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                with suppress(OSError):
                    stream.close()

    @staticmethod
    def _signal(process: subprocess.Popen[Any], number: int) -> None:
        """Signal a process and those that it started; each command is the first of a group."""
        with suppress(OSError):
            os.killpg(process.pid, number)


def _number(text: object) -> int:
    found = re.match(r"\d+", str(text))
    return int(found[0]) if found else 0
