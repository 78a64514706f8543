"""What the embedded Triton serves, compared with what lies in its models directory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import PartialFailureError, ServerDownError, ServerStartingError, TritonUnreachableError
from tritonops.models.repository import Repository
from tritonops.server import embedded
from tritonops.server.embedded import Server
from tritonops.server.log import explained, failure_reasons
from tritonops.triton.client import ModelStatus, connect

_UNLOADED = "unloaded"


@dataclass(frozen=True)
class Report:
    """A running embedded Triton and its models, each with the reason where it is not served."""

    pid: int
    grpc_url: str
    http_url: str
    metrics_url: str
    models_dir: Path
    log: Path
    models: tuple[ModelStatus, ...]

    def raise_failures(self) -> None:
        """Raise PartialFailureError, naming every model that should be served and is not."""
        failures = {
            status.name: status.reason or "Triton gives no reason"
            for status in self.models
            if status.state != "READY" and status.reason != _UNLOADED
        }
        if failures:
            raise PartialFailureError("Triton is up, but does not serve", failures, hint=f"Its log: {self.log}")


def report(server_dir: Path, *, token: str | None = None) -> Report:
    """Ask the running server of this folder; ServerDownError, or ServerStartingError, where there is none to ask."""
    server = embedded.find(server_dir)
    if server is None:
        raise ServerDownError(embedded.log_path(server_dir))
    return Report(
        pid=server.process.pid,
        grpc_url=server.grpc_url,
        http_url=server.http_url,
        metrics_url=server.metrics_url,
        models_dir=server.models_dir,
        log=server.log,
        models=tuple(_models(server, token)),
    )


def _models(server: Server, token: str | None) -> Iterator[ModelStatus]:
    try:
        with connect(server.grpc_url, token=token) as client:
            index = client.index()
    except TritonUnreachableError as exc:
        raise ServerStartingError(server.process.pid, server.log) from exc
    return _with_reasons(index, Repository(server.models_dir).enabled_names(), failure_reasons(server.log))


def _with_reasons(index: Iterable[ModelStatus], names: Iterable[str], reasons: dict[str, str]) -> Iterator[ModelStatus]:
    """Triton's index has no reason for a model that it could not even read, and no row for some."""
    rows = list(index)
    unlisted = {*names} - {row.name for row in rows}
    rows += [ModelStatus(name, None, None, None) for name in unlisted]
    for row in sorted(rows, key=lambda row: (row.name, row.version or 0)):
        reason = explained(row.reason) if row.reason else reasons.get(row.name) if row.state is None else None
        yield ModelStatus(row.name, row.version, row.state, reason)
