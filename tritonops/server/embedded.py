"""The embedded Triton: the real tritonserver as a background process of this machine, without Docker.

It serves one models directory in explicit mode, on the loopback interface only, and predates security fixes
of later releases: nobody but the people of this machine may reach it.
"""

from __future__ import annotations

import functools
import http.client
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tritonops.errors import RepositoryError, ServerStartError
from tritonops.file_lock import locked
from tritonops.files import write_json
from tritonops.models.disk.misplaced import refuse_misplaced
from tritonops.server import pid_file, process
from tritonops.server.command_line import backends_dir, command, memory_option, shared_memory, shared_memory_prefix
from tritonops.server.installation import Installation, assemble_backends, find_installation, library_path
from tritonops.server.log_file import last_errors, read_from
from tritonops.server.plain_paths import plain_path, remove_links
from tritonops.server.ports import LOOPBACK, Ports, require_free
from tritonops.server.process import Process
from tritonops.triton.client.waiting import Deadline
from tritonops.triton.served_folder import ServedFolder
from tritonops.triton.startup.load_log import waits_for_loads_only
from tritonops.triton.startup.loading import Loading

_POLL = 0.05
START_TIMEOUT = 600.0
STOP_TIMEOUT = 40.0  # Triton gives requests under way 30 seconds
_SAFE_NAME = re.compile(r"[\w.@%+=:,-]+")


@dataclass(frozen=True)
class EmbeddedServer:
    """A running embedded Triton."""

    process: Process
    ports: Ports
    models_dir: Path
    server_dir: Path

    @property
    def grpc_url(self) -> str:
        """What TRITON_URL must be to reach it."""
        return f"{LOOPBACK}:{self.ports.grpc}"

    @property
    def http_url(self) -> str:
        """Where its HTTP API begins."""
        return f"http://{LOOPBACK}:{self.ports.http}"

    @property
    def metrics_url(self) -> str:
        """Where Prometheus finds its metrics."""
        return f"http://{LOOPBACK}:{self.ports.metrics}/metrics"

    @property
    def log(self) -> Path:
        """What it has written since it started."""
        return log_path(self.server_dir)


def log_path(server_dir: Path) -> Path:
    """Where a server with this folder writes; the log of the one before it has the suffix `.1`."""
    return server_dir / "triton.log"


def start(
    models_dir: Path,
    server_dir: Path,
    *,
    ports: Ports,
    token: str | None = None,
    timeout: float = START_TIMEOUT,
    model_timeout: float | None = None,
    installation: Installation | None = None,
) -> EmbeddedServer:
    """Serve every model of `models_dir`, and return once Triton has tried to load each of them.

    No model keeps another from being served: one that would hang or crash Triton is left out, one whose load does not
    end within `model_timeout` seconds (a minute, or longer for large files) is given up, and after a crash the server
    starts again without the model that caused it. `not_loaded` has the reasons. A server that is running already is
    returned as it is. In `server_dir` are the pid file, the log and the backends. Raises EmbeddedUnavailableError,
    RepositoryError, InputError, PortTakenError or ServerStartError; after an error, or an interruption, nothing is left
    running.
    """
    installation = installation or find_installation()
    _check_folder(models_dir)
    with _locked(server_dir):
        if running := find(server_dir):
            return running
        _remove_remains(server_dir)
        require_free(ports)
        assemble_backends(backends_dir(server_dir), installation)
        loading = Loading.of(models_dir, refuse=_refused_name, model_timeout=model_timeout)
        deadline = Deadline.after(timeout)
        while True:
            server = _launch(installation, models_dir, server_dir, ports, token)
            try:
                if _load(server, loading, token, deadline):
                    return server
            except BaseException:
                kill(server)
                raise
            kill(server)


def _launch(
    installation: Installation, models_dir: Path, server_dir: Path, ports: Ports, token: str | None
) -> EmbeddedServer:
    _rotate(log_path(server_dir))
    write_json(_starting_file(server_dir), asdict(process.this_process()), sync=False)
    server = _spawn(installation, models_dir, server_dir, ports, token)
    pid_file.save_server(_pid_file(server_dir), server.process, ports, models_dir)
    ServedFolder.of(models_dir, server.grpc_url).discard_before(time.time())
    return server


def _load(server: EmbeddedServer, loading: Loading, token: str | None, deadline: Deadline) -> bool:
    """Load every model that is due; False where the server crashed under it."""
    _wait_until_started(server, deadline)
    read_log = functools.partial(read_from, server.log)
    if loading.run(server.grpc_url, read_log, server.process.is_alive, token=token, deadline=deadline):
        write_json(_reasons_file(server.server_dir), {"answers": loading.answers, "reasons": loading.reasons})
        _starting_file(server.server_dir).unlink(missing_ok=True)
        return True
    if _was_stopped(server):
        raise ServerStartError("it was stopped while it was loading models", server.log)
    return False


def _was_stopped(server: EmbeddedServer) -> bool:
    """Tell a crash from `server.down`, which leaves no pid file a moment after the end."""
    if "Signal (15) received" in read_from(server.log, 0)[0]:
        return True
    return not all(_pid_file(server.server_dir).exists() for _ in Deadline.after(1.0).polls())


def is_starting(server: EmbeddedServer) -> bool:
    """Whether somebody's start is still loading its models."""
    return pid_file.find_process(_starting_file(server.server_dir)) is not None


def _starting_file(server_dir: Path) -> Path:
    return server_dir / "starting.json"


def not_loaded(server: EmbeddedServer) -> tuple[dict[str, str], dict[str, str]]:
    """Give the reasons of the models that the start left out or gave up, and Triton's answers to loads that failed."""
    found = pid_file.read_json(_reasons_file(server.server_dir))
    parts = (found.get(key) if isinstance(found, dict) else None for key in ("reasons", "answers"))
    reasons, answers = (
        {str(name): str(text) for name, text in part.items()} if isinstance(part, dict) else {} for part in parts
    )
    return reasons, answers


def _reasons_file(server_dir: Path) -> Path:
    return server_dir / "not-loaded.json"


def find(server_dir: Path) -> EmbeddedServer | None:
    """Find the running server of this folder; None when there is none, or the one written down has ended.

    One whose pid file was deleted is found by its command line.
    """
    found = pid_file.find_server(_pid_file(server_dir)) or pid_file.find_started_with(memory_option(server_dir))
    return EmbeddedServer(*found, server_dir) if found else None


def stop(server: EmbeddedServer, *, timeout: float = STOP_TIMEOUT) -> bool:
    """Let the server finish what it is answering and end; after `timeout` seconds it is killed.

    One that only waits for a load that never ends is killed at once. Returns whether it ended in time.
    """
    log_end = server.log.stat().st_size if server.log.exists() else 0
    by_itself = process.stop(
        server.process, timeout=timeout, is_over=lambda: waits_for_loads_only(read_from(server.log, log_end)[0])
    )
    _forget(server)
    return by_itself


def kill(server: EmbeddedServer) -> None:
    """End the server at once, whatever it is doing."""
    process.kill(server.process)
    _forget(server)


def _environment(installation: Installation, server_dir: Path, base: Mapping[str, str]) -> dict[str, str]:
    """No GPU is shown to it: its ONNX Runtime is the one for CPUs. The models see no secret."""
    return {
        **{name: value for name, value in base.items() if name not in ("TRITON_TOKEN", "HF_TOKEN")},
        "PATH": os.pathsep.join([str(installation.python_bin), base.get("PATH", os.defpath)]),
        "LD_LIBRARY_PATH": os.pathsep.join(
            map(str, library_path(plain_path(backends_dir(server_dir), server_dir), installation))
        ),
        "CUDA_VISIBLE_DEVICES": "",
    }


def _spawn(
    installation: Installation, models_dir: Path, server_dir: Path, ports: Ports, token: str | None
) -> EmbeddedServer:
    arguments = command(installation, models_dir, server_dir, ports=ports, token=token)
    environment = _environment(installation, server_dir, os.environ)
    started = process.spawn(arguments, folder=models_dir.parent, environment=environment, log=log_path(server_dir))
    return EmbeddedServer(started, ports, models_dir, server_dir)


def _wait_until_started(server: EmbeddedServer, deadline: Deadline) -> None:
    for _ in deadline.polls():
        if _answers(server.ports.http):
            return
        if not server.process.is_alive():
            raise ServerStartError(f"it ended while starting\n{last_errors(server.log)}", server.log)
    raise ServerStartError(f"it did not answer within {deadline.timeout:g} s, and was stopped", server.log)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/v2/health/live")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _check_folder(models_dir: Path) -> None:
    if not models_dir.is_dir():
        hint = "Try `inv models.download`, or set TRITON_MODELS_DIR."
        raise RepositoryError(f"{models_dir}: there is no such folder", hint=hint)
    refuse_misplaced(models_dir)


def _refused_name(name: str) -> str | None:
    """Triton's Python backend pastes the names of models into a shell command, unquoted."""
    if _SAFE_NAME.fullmatch(name):
        return None
    return f"the embedded Triton cannot serve a folder named {name!r}; rename it (letters, digits and .@%+=:,_- only)"


def _pid_file(server_dir: Path) -> Path:
    return server_dir / "triton.pid"


def _forget(server: EmbeddedServer) -> None:
    """Remove the pid file, unless a newer server has it, and what a killed server leaves behind."""
    if not find(server.server_dir):
        if not _pid_file(server.server_dir).is_dir():
            _pid_file(server.server_dir).unlink(missing_ok=True)
        _remove_remains(server.server_dir)


def _remove_remains(server_dir: Path) -> None:
    """Remove what a server that is gone left behind: processes of its models, their shared memory, links."""
    process.kill_stubs(shared_memory_prefix(server_dir))
    for region in shared_memory(server_dir):
        region.unlink(missing_ok=True)
    remove_links(server_dir)


def _rotate(log: Path) -> None:
    """Keep the log of the server before this one: it says why that one ended."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))


@contextmanager
def _locked(server_dir: Path) -> Iterator[None]:
    """Let one start happen at a time; the others wait. The lock ends with the process that holds it."""
    try:
        server_dir.mkdir(exist_ok=True)
        with locked(server_dir / "lock"):
            yield
    except OSError as exc:
        raise RepositoryError(f"cannot write to {exc.filename2 or exc.filename or server_dir}: {exc.strerror}") from exc
