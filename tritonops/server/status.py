"""The status of the embedded Triton and its models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import ServerDownError, ServerSilentError, ServerStartingError, TritonUnreachableError
from tritonops.models.disk.repository import Repository
from tritonops.server import embedded
from tritonops.server.embedded import EmbeddedServer
from tritonops.server.log_file import explain_reason
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import connect
from tritonops.triton.list import list_models
from tritonops.triton.startup.served import raise_unserved, with_reasons


@dataclass(frozen=True)
class ServerStatus:
    """A running embedded Triton and its models, with the reason of each that is not served."""

    pid: int
    grpc_url: str
    http_url: str
    metrics_url: str
    models_dir: Path
    log: Path
    models: tuple[ModelStatus, ...]
    is_starting: bool = False
    """Whether its models are still being loaded."""

    def raise_failures(self) -> None:
        """Raise PartialFailureError for models that are not served, ServerStartingError while they are being loaded."""
        if self.is_starting:
            raise ServerStartingError(self.pid, self.log)
        raise_unserved(self.models, hint=f"Its log: {self.log}")


def server_status(server_dir: Path, *, token: str | None = None) -> ServerStatus:
    """Ask the running server of this folder. Raises ServerDownError, ServerStartingError or ServerSilentError."""
    server = embedded.find(server_dir)
    if server is None:
        raise ServerDownError(embedded.log_path(server_dir))
    return ServerStatus(
        pid=server.process.pid,
        grpc_url=server.grpc_url,
        http_url=server.http_url,
        metrics_url=server.metrics_url,
        models_dir=server.models_dir,
        log=server.log,
        is_starting=embedded.is_starting(server),
        models=tuple(_models(server, token)),
    )


def _models(server: EmbeddedServer, token: str | None) -> list[ModelStatus]:
    try:
        with connect(server.grpc_url, token=token) as client:
            rows = list_models(client)
    except TritonUnreachableError as exc:
        if embedded.is_starting(server):
            raise ServerStartingError(server.process.pid, server.log) from exc
        raise ServerSilentError(server.process.pid, server.log) from exc
    log = server.log.read_text(encoding="utf-8", errors="replace")
    names = Repository(server.models_dir).enabled_names()
    given_up, answers = embedded.not_loaded(server)
    return with_reasons(rows, names, log, explain=explain_reason, not_loaded=given_up, answers=answers)
