"""The embedded Triton: the real tritonserver as a background process, without Docker.

It serves one models directory in explicit mode. It predates security fixes of later releases, so it listens on the
loopback interface only.
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
from tritonops.process_environment import inherited
from tritonops.server import pid_file, process, stopping
from tritonops.server.command_line import backends_dir, command, memory_option, shared_memory, shared_memory_prefix
from tritonops.server.installation import Installation, assemble_backends, find_installation, library_path
from tritonops.server.log_file import last_errors, read_from
from tritonops.server.plain_paths import plain_path, remove_links
from tritonops.server.ports import LOOPBACK, Ports, is_listening, require_free
from tritonops.server.process import Process
from tritonops.server.stopping import STOP_TIMEOUT
from tritonops.triton.client.waiting import Deadline
from tritonops.triton.disk.served_folder import ServedFolder
from tritonops.triton.startup.load_log import waits_for_loads_only
from tritonops.triton.startup.loading import Loading, OnProgress

_POLL = 0.05
START_TIMEOUT = 600.0
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
        """The TRITON_URL of this server."""
        return f"{LOOPBACK}:{self.ports.grpc}"

    @property
    def http_url(self) -> str:
        """The base URL of its HTTP API."""
        return f"http://{LOOPBACK}:{self.ports.http}"

    @property
    def metrics_url(self) -> str:
        """The URL of its Prometheus metrics."""
        return f"http://{LOOPBACK}:{self.ports.metrics}/metrics"

    @property
    def log(self) -> Path:
        """Its log since it started."""
        return log_path(self.server_dir)


def log_path(server_dir: Path) -> Path:
    """Give the log of the server with this folder; the log of the previous one has the suffix `.1`."""
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
    on_progress: OnProgress = lambda active, waiting: None,
) -> EmbeddedServer:
    """Start a server, and wait until Triton has tried to load every model of `models_dir`.

    No model keeps another from being served: one that would hang or crash Triton is left out, a load that takes longer
    than `model_timeout` seconds (default: 60, more for large files) is aborted, and after a crash the server starts
    again without the model that caused it. `not_loaded` has the reasons. A running server is returned unchanged.
    `server_dir` has the pid file, the log and the backends. Raises EmbeddedUnavailableError, RepositoryError,
    InputError, PortTakenError or ServerStartError; after an error or an interruption, no server is left running.
    """
    installation = installation or find_installation()
    _check_folder(models_dir)
    with _locked(server_dir):
        if running := find(server_dir):
            return running
        _remove_remains(server_dir)
        require_free(ports)
        assemble_backends(backends_dir(server_dir), installation)
        loading = Loading.of(models_dir, refuse=_refused_name, model_timeout=model_timeout, on_progress=on_progress)
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
    try:
        pid_file.save_server(_pid_file(server_dir), server.process, ports, models_dir)
        ServedFolder.of(models_dir, server.grpc_url).discard_before(time.time())
    except BaseException:
        stopping.kill(server.process)  # nothing else would find it
        raise
    return server


def _load(server: EmbeddedServer, loading: Loading, token: str | None, deadline: Deadline) -> bool:
    """Load every model; False if the server crashed."""
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
    """Whether `server.down` ended it, which removes the pid file a moment later, and not a crash."""
    if "Signal (15) received" in read_from(server.log, 0)[0]:
        return True
    return not all(_pid_file(server.server_dir).exists() for _ in Deadline.after(1.0).polls())


def is_starting(server: EmbeddedServer) -> bool:
    """Whether a start is still loading its models."""
    return pid_file.find_process(_starting_file(server.server_dir)) is not None


def _starting_file(server_dir: Path) -> Path:
    return server_dir / "starting.json"


def not_loaded(server: EmbeddedServer) -> tuple[dict[str, str], dict[str, str]]:
    """Give the reasons of models that the start left out or aborted, and Triton's answers to failed loads."""
    found = pid_file.read_json(_reasons_file(server.server_dir))
    parts = (found.get(key) if isinstance(found, dict) else None for key in ("reasons", "answers"))
    reasons, answers = (
        {str(name): str(text) for name, text in part.items()} if isinstance(part, dict) else {} for part in parts
    )
    return reasons, answers


def _reasons_file(server_dir: Path) -> Path:
    return server_dir / "not-loaded.json"


def find(server_dir: Path) -> EmbeddedServer | None:
    """Find the running server of this folder, by its pid file or else by its command line."""
    found = pid_file.find_server(_pid_file(server_dir)) or pid_file.find_started_with(memory_option(server_dir))
    return EmbeddedServer(*found, server_dir) if found else None


def stop(server: EmbeddedServer, *, timeout: float = STOP_TIMEOUT) -> bool:
    """Stop the server once in-flight requests are answered, or kill it after `timeout` seconds.

    A server that only waits for a load that never ends is killed at once. Returns whether it ended in time.
    """
    log_end = server.log.stat().st_size if server.log.exists() else 0
    has_ended = stopping.stop(
        server.process, timeout=timeout, is_over=lambda: waits_for_loads_only(read_from(server.log, log_end)[0])
    )
    _clean_up(server)
    return has_ended


def kill(server: EmbeddedServer) -> None:
    """Kill the server at once."""
    stopping.kill(server.process)
    _clean_up(server)


def _environment(installation: Installation, server_dir: Path, base: Mapping[str, str]) -> dict[str, str]:
    """Build the environment: without GPUs, which its ONNX Runtime does not use, and without secrets."""
    return {
        **{name: value for name, value in base.items() if name not in ("TRITON_TOKEN", "HF_TOKEN")},
        "PATH": os.pathsep.join([str(installation.python_bin), base.get("PATH", os.defpath)]),
        "LD_LIBRARY_PATH": os.pathsep.join(
            str(plain_path(folder, server_dir))
            for folder in library_path(plain_path(backends_dir(server_dir), server_dir), installation)
        ),
        "CUDA_VISIBLE_DEVICES": "",
    }


def _spawn(
    installation: Installation, models_dir: Path, server_dir: Path, ports: Ports, token: str | None
) -> EmbeddedServer:
    arguments = command(installation, models_dir, server_dir, ports=ports, token=token)
    environment = _environment(installation, server_dir, inherited())
    started = process.spawn(arguments, folder=models_dir.parent, environment=environment, log=log_path(server_dir))
    return EmbeddedServer(started, ports, models_dir, server_dir)


def _wait_until_started(server: EmbeddedServer, deadline: Deadline) -> None:
    for _ in deadline.polls():
        # Another server may have taken the port since it was found free; this one ends then.
        if _answers(server.ports.http) and is_listening(server.process.pid, server.ports.http):
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
        raise RepositoryError(f"{models_dir}: no such folder", hint=hint)
    refuse_misplaced(models_dir)


def _refused_name(name: str) -> str | None:
    """Refuse names that Triton's Python backend would paste unquoted into a shell command."""
    if _SAFE_NAME.fullmatch(name):
        return None
    return f"the embedded Triton cannot serve a folder named {name!r}; rename it (letters, digits and .@%+=:,_- only)"


def _pid_file(server_dir: Path) -> Path:
    return server_dir / "triton.pid"


def _clean_up(server: EmbeddedServer) -> None:
    """Remove the pid file and other remains, unless a newer server is running."""
    if not find(server.server_dir):
        if not _pid_file(server.server_dir).is_dir():
            _pid_file(server.server_dir).unlink(missing_ok=True)
        _remove_remains(server.server_dir)


def _remove_remains(server_dir: Path) -> None:
    """Remove what an ended server left behind: processes of its models, their shared memory, links."""
    stopping.kill_stubs(shared_memory_prefix(server_dir))
    for region in shared_memory(server_dir):
        region.unlink(missing_ok=True)
    remove_links(server_dir)


def _rotate(log: Path) -> None:
    """Keep the log of the previous server, which may say why it ended."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))


@contextmanager
def _locked(server_dir: Path) -> Iterator[None]:
    """Allow one start at a time; others wait. The lock is an flock, released when its process ends."""
    try:
        server_dir.mkdir(exist_ok=True)
        with locked(server_dir / "lock"):
            yield
    except OSError as exc:
        raise RepositoryError(f"cannot write to {exc.filename2 or exc.filename or server_dir}: {exc.strerror}") from exc
