"""Why a load failed, from Triton's answer, or else from its index, its log or the disk."""

from __future__ import annotations

from collections.abc import Collection

from tritonops.display_text import shorten
from tritonops.errors import LoadError, ServerDiedError, TritonError
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import TritonClient
from tritonops.triton.disk.comparison import ready
from tritonops.triton.disk.served_folder import ModelOnDisk, ServedFolder
from tritonops.triton.startup.failure_reasons import failure_reasons, without_traceback
from tritonops.triton.startup.load_log import crash_message, last_lines

_NO_REASON = "it wrote no reason; was it killed, or out of memory?"


def load_error(
    error: TritonError, client: TritonClient, name: str, model: ModelOnDisk | None, disk: ServedFolder | None
) -> LoadError:
    """Make a LoadError of Triton's answer to a load."""
    reason = shorten(_reason(error, client, name, model, disk), rest_of_reasons(disk))
    return LoadError(f"{name}: {reason}", hint=_still_served(client, name))


def unserved_reason(rows: Collection[ModelStatus], model: ModelOnDisk, disk: ServedFolder) -> str | None:
    """Say why a version is not served after a load that Triton calls done; None if it is, or without a reason."""
    for version in sorted({*model.served} - ready(rows)):
        reasons = [row.reason for row in rows if row.version == version and row.reason not in (None, "unloaded")]
        if reason := (without_traceback(reasons[0] or "") if reasons else None) or _logged(disk, model.name):
            return shorten(f"version {version} is not served: {reason}", rest_of_reasons(disk))
    return None


def rest_of_reasons(disk: ServedFolder | None) -> str:
    """Say where to find a shortened reason in full."""
    return str(disk.log) if disk and disk.log.exists() else "inv triton.list --json"


def server_died(client: TritonClient, name: str, disk: ServedFolder | None, log_end: int) -> ServerDiedError:
    """Say that the server died during a load, with the reason from its log if that can be read."""
    what = f"Triton at {client.url} died while it loaded {name}"
    if disk is None or not disk.log.exists():
        return ServerDiedError(what, hint="To see its log: inv compose.logs, or where that server writes.")
    log = disk.logged_since(log_end)
    lines = "".join(f"\n  {line}" for line in last_lines(log))
    hint = f"Its log: {disk.log}. Fix the model or disable it (inv models.disable), then: inv server.up"
    return ServerDiedError(f"{what}: {crash_message(log) or _NO_REASON}{lines}", hint=hint)


def _reason(
    error: TritonError, client: TritonClient, name: str, model: ModelOnDisk | None, disk: ServedFolder | None
) -> str:
    answer = without_traceback(error.answer)
    if "metadata size exceeds hard limit" in answer:  # the reason was too long for gRPC
        return _indexed(client, name) or _logged(disk, name) or "the reason is too long for gRPC, and not in the index"
    if "failed to poll" in answer:
        if model and model.config_error:
            return f"Triton cannot read its configuration: {model.config_error}"
        if disk and not any(row.name == name for row in client.index()):
            return _logged(disk, name) or f"Triton's repository has no such model; does it read {disk.models_dir}?"
        return _logged(disk, name) or f"{answer}; the reason is in Triton's log"
    if "no version is available" in answer:
        return _indexed(client, name) or _logged(disk, name) or f"{answer}; the reason is in Triton's log"
    for prefix in (f"load failed for model '{name}': ", f"ensemble '{name}' ", f"in ensemble {name}, "):
        answer = answer.removeprefix(prefix)
    return answer


def _indexed(client: TritonClient, name: str) -> str | None:
    reasons = (row.reason for row in client.index() if row.name == name and row.state == "UNAVAILABLE")
    found = next((reason for reason in reasons if reason and reason != "unloaded"), None)
    return found and without_traceback(found)


def _logged(disk: ServedFolder | None, name: str) -> str | None:
    """Read the whole log: Triton logs some reasons only for the first attempt."""
    return failure_reasons(disk.logged_since(0)).get(name) if disk else None


def _still_served(client: TritonClient, name: str) -> str | None:
    rows = [row for row in client.index() if row.name == name and row.state == "READY"]
    served = ", ".join(str(row.version) for row in rows)
    return f"Still served, as loaded before: version {served}." if served else None
