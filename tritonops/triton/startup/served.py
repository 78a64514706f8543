"""The models that Triton does not serve, with the reasons of its index and its log."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from tritonops.display_text import shorten
from tritonops.errors import PartialFailureError, TokenRefusedError, TritonError, TritonUnreachableError
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import TritonClient
from tritonops.triton.startup.failure_reasons import Explain, failure_reasons, without_traceback
from tritonops.triton.startup.load_log import stuck_loads

_UNLOADED = "unloaded"


def with_reasons(
    index: Iterable[ModelStatus],
    names: Iterable[str],
    log: str,
    *,
    explain: Explain = without_traceback,
    not_loaded: Mapping[str, str] | None = None,
    answers: Mapping[str, str] | None = None,
) -> list[ModelStatus]:
    """Add the reasons that the index lacks, and a row for each of `names` that it does not list.

    `not_loaded` has the reasons of models that a start left out or aborted; `answers` has Triton's answers to failed
    loads, which are not always logged.
    """
    answered = {name: explain(answer) for name, answer in (answers or {}).items()}
    reasons = {**answered, **failure_reasons(log, explain=explain), **(not_loaded or {}), **stuck_loads(log)}
    rows = list(index)
    unlisted = {*names} - {row.name for row in rows}
    rows += [ModelStatus(name, None, None, None) for name in unlisted]
    return [
        ModelStatus(row.name, row.version, row.state, explain(row.reason) if row.reason else _logged(row, reasons))
        for row in sorted(rows, key=lambda row: (row.name, row.version or 0))
    ]


def _logged(row: ModelStatus, reasons: dict[str, str]) -> str | None:
    return reasons.get(row.name) if row.state in (None, "LOADING") else None


def settled_index(client: TritonClient, *, hung: Collection[str] = ()) -> list[ModelStatus] | None:
    """Read the index once Triton answers and loads nothing but `hung` models; None before that.

    A starting Triton does not answer until it has tried to load every model.
    """
    try:
        index = client.index()
    except TokenRefusedError:
        raise
    except (TritonUnreachableError, TritonError):
        if not has_started(client):
            return None
        index = client.index()  # it has just started, or the error is its own, and raised
    return None if any(row.state == "LOADING" and row.name not in hung for row in index) else index


def has_started(client: TritonClient) -> bool:
    """Whether Triton answers, which it does once it has tried to load every model."""
    try:
        client.is_ready()
    except (TritonUnreachableError, TritonError):
        return False
    return True


def raise_unserved(rows: Iterable[ModelStatus], *, hint: str) -> None:
    """Raise PartialFailureError that names every model that should be served and is not."""
    failures = {
        row.name: _shortened(row.reason) or f"it was never loaded: try `inv triton.load {row.name}`"
        for row in rows
        # A version that is UNLOADING was unloaded or replaced, and answers its last requests.
        if row.state not in ("READY", "UNLOADING") and row.reason != _UNLOADED
    }
    if failures:
        raise PartialFailureError("Triton is running, but does not serve", failures, hint=hint)


def _shortened(reason: str | None) -> str | None:
    return shorten(reason, "in the log, and with --json") if reason else None
