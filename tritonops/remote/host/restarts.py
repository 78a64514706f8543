"""The Triton of a host, embedded or in Compose: restarted only where what it was started with differs."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tritonops.compose import service as compose
from tritonops.compose.engine.container import EARLIER_PROJECT, Container
from tritonops.compose.ownership import find_containers
from tritonops.compose.service import Service
from tritonops.documents import MAX_RECORD
from tritonops.errors import TokenRefusedError, TritonOpsError, TritonUnreachableError, UnreadableFileError
from tritonops.files import read_text_if_present, write_json
from tritonops.models.disk.repository import Repository
from tritonops.project import Project
from tritonops.remote.host.loads import is_log_lost, server_process
from tritonops.remote.host.outage import Outage
from tritonops.remote.host.release_env import reads_its_copy, release_env, settings_of, task_environment
from tritonops.remote.layout.callbacks import OnStep
from tritonops.remote.layout.definition import runtime_definition
from tritonops.remote.layout.inv_wrapper import inv_wrapper
from tritonops.remote.layout.paths import Layout, Release
from tritonops.remote.layout.records import LOG_LOST, StartRecord
from tritonops.server import embedded
from tritonops.settings import Settings
from tritonops.triton.client.client import connect

NOT_RUNNING = "it does not run"
_LAST_LINES = 15


@dataclass(frozen=True)
class Restart:
    """A restart: its reasons, and the seconds for which a model that was served before was not ready."""

    reasons: tuple[str, ...]
    gap: float | None


@dataclass(frozen=True)
class Runtime:
    """The Triton of a host, as `release` defines it."""

    layout: Layout
    release: Release

    def restart_reasons(self) -> tuple[str, ...]:
        """List the reasons to restart it; none if it runs as the release defines it."""
        record = self._record()
        if record is None or not server_process(self.layout, record.parts.get("runtime", self._runtime)):
            return (NOT_RUNNING,)
        if not _answers(record.url or self._url_before(), self._settings.triton_token):
            return (NOT_RUNNING,)
        return (*record.reasons(self._definition()), *([LOG_LOST] if is_log_lost(self.layout) else []))

    def up(self, *, on_step: OnStep) -> Restart | None:
        """Restart it unless it runs as the release defines it; a restart loads the models on disk.

        Raises TritonOpsError where nothing answers afterwards.
        """
        reasons = self.restart_reasons()
        if not reasons:
            return None
        on_step(restart_notice(reasons, self._record()))
        started_before = self._started_at()
        with self._outage() as outage:
            self._start(is_running=NOT_RUNNING not in reasons, on_step=on_step)
        was_restarted = started_before is None or self._started_at() != started_before
        self._save(outage.seconds if was_restarted else None)
        return Restart(reasons, outage.seconds) if was_restarted else None

    def down(self, *, on_step: OnStep) -> None:
        """Stop it, if it runs."""
        if self._is_embedded:
            self._task("server.down")
        elif self._record() or self._containers():
            compose.down(self._service(), watch=on_step)
        self._forget()

    def last_lines(self) -> str:
        """Give the end of its log; empty where that fails."""
        lines: list[str] = []
        if self._is_embedded:
            done = self._task("server.logs", "--lines", str(_LAST_LINES))
            lines = [] if done.returncode else done.stdout.splitlines()
        else:
            try:
                compose.logs(self._service(), watch=lines.append, tail=_LAST_LINES)
            except TritonOpsError:
                lines = []
        return _indented(lines)

    def _start(self, *, is_running: bool, on_step: OnStep) -> None:
        before, current = self._record(), self.layout.current
        if before and current and current.record.runtime != self._runtime:
            Runtime(self.layout, current).down(on_step=on_step)  # one runtime has the ports at a time
        self._forget()
        if self._is_embedded:
            done = self._task("server.restart")
            url, token = self._settings.triton_url, self._settings.triton_token
            if not server_process(self.layout, self._runtime) or not _answers(url, token):
                raise TritonOpsError(f"Triton did not start\n{_indented(done.stdout.splitlines())}")
            return
        try:
            # Compose keeps a container with the same settings; one that does not answer has to be recreated.
            compose.up(self._service(), watch=on_step, recreate=not is_running)
        except TritonOpsError:
            if before and is_running:  # what was replaced serves again
                self._write(before)
            raise
        self._write_wrapper()

    def _write_wrapper(self) -> None:
        """Replace the script of an earlier version once its container has another project name."""
        containers = self._containers()
        if not reads_its_copy(self.layout, self.release) and all(
            found.project != EARLIER_PROJECT for found in containers
        ):
            self.release.inv.write_text(inv_wrapper(str(self.layout.root), self.release.record), encoding="utf-8")

    def _outage(self) -> Outage:
        """Measure the models that are served before and after the restart, on the old and the new port."""
        current = self.layout.current
        served = {name for name, _ in current.activation.served} if current and current.activation else set()
        new = self._settings
        old = settings_of(self.layout, current) if current and current.project.is_dir() else new
        names = served.intersection(Repository(self.layout.models_dir).enabled_names())
        return Outage(new.bind, (old.http_port, new.http_port), names)

    @property
    def _runtime(self) -> str:
        return self.release.record.runtime

    @property
    def _is_embedded(self) -> bool:
        return self._runtime == "embedded"

    def _service(self) -> Service:
        return Service.of(Project(self._settings), cpu=self.release.record.config == "cpu")

    def _containers(self) -> list[Container]:
        service = self._service()
        return [found for found in find_containers(service.docker, service.definition) if found.is_running]

    def _definition(self) -> dict[str, str]:
        """The definition, with the flags of the release's own code, which may be an earlier one."""
        parts = runtime_definition(self.release.project, self.release.record, release_env(self.layout, self.release))
        own = _read_record(self.release.path / "started.json")
        flags = {"flags": own.parts["flags"]} if own and "flags" in own.parts else {}
        return {**parts, **flags}

    def _record(self) -> StartRecord | None:
        return _read_record(self.layout.runtime)

    def _save(self, gap: float | None) -> None:
        record = StartRecord(self._definition(), self._settings.triton_url, gap)
        self._write(record)
        write_json(self.release.path / "started.json", asdict(record))

    def _write(self, record: StartRecord) -> None:
        self.layout.runtime.touch(mode=0o600)
        write_json(self.layout.runtime, asdict(record))

    def _forget(self) -> None:
        self.layout.runtime.unlink(missing_ok=True)

    @property
    def _settings(self) -> Settings:
        return settings_of(self.layout, self.release)

    def _url_before(self) -> str:
        """The address of a server that an earlier version started."""
        current = self.layout.current
        return settings_of(self.layout, current or self.release).triton_url

    def _started_at(self) -> str | None:
        """Identify the running server; None without one."""
        if self._is_embedded:
            server = embedded.find(self.layout.shared / ".server")
            return str(server.process) if server else None
        return " ".join(sorted(f"{found.id} {found.started_at}" for found in self._containers())) or None

    def _task(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a task of the release and ignore its exit code: one bad model makes `up` fail, the others are served."""
        command = [str(self.release.inv), *arguments]
        with subprocess.Popen(
            command,
            env=task_environment(self.layout, self.release),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            try:
                output, _ = process.communicate()
            except BaseException:
                process.send_signal(signal.SIGINT)  # lets it clean up
                raise
        return subprocess.CompletedProcess(command, process.returncode, output)


def _answers(url: str, token: str | None) -> bool:
    with connect(url, token=token) as client:
        try:
            client.index()
        except TokenRefusedError:
            return True
        except TritonUnreachableError:
            return False
    return True


def _read_record(path: Path) -> StartRecord | None:
    try:
        text = read_text_if_present(path, MAX_RECORD)
    except UnreadableFileError:
        return StartRecord()
    return None if text is None else StartRecord.parse(text)


def restart_notice(reasons: Sequence[str], record: StartRecord | None) -> str:
    """Word a restart and the gap of the last one."""
    if NOT_RUNNING in reasons:
        return "start Triton: it does not run"
    last = f", {record.gap:g} s at its last restart" if record and record.gap is not None else ""
    return f"restart Triton ({', '.join(reasons)}): no answers until its models are loaded{last}"


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"  {line}" for line in lines[-_LAST_LINES:])
