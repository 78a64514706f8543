"""One load call to Triton, with its failures told apart."""

from __future__ import annotations

import queue
from contextlib import suppress

from tritonops.errors import (
    LoadError,
    TokenRefusedError,
    TritonError,
    TritonTimeoutError,
    TritonUnreachableError,
)
from tritonops.triton.client.client import TritonClient
from tritonops.triton.client.waiting import Deadline
from tritonops.triton.disk.served_folder import ModelOnDisk, ServedFolder
from tritonops.triton.list import Rows
from tritonops.triton.load_reasons import load_error, server_died
from tritonops.triton.startup.load_call import LoadCall
from tritonops.triton.startup.load_log import RESTART_HINT, stuck_loads

_POLL = 0.05


def request_load(
    client: TritonClient, name: str, disk: ServedFolder | None, model: ModelOnDisk | None, deadline: Deadline
) -> None:
    """Send a load and wait for the answer, which proves nothing about what is served.

    Raises LoadError with Triton's reason, ServerDiedError, TritonTimeoutError or TokenRefusedError.
    """
    log_end = disk.log_end() if disk else 0
    try:
        _call(client, name, disk, log_end, deadline)
    except (TokenRefusedError, LoadError):
        raise
    except TritonTimeoutError as exc:
        raise TritonTimeoutError(
            f"{name}: Triton at {client.url} had not loaded it within {deadline.timeout:g} s",
            hint="The load continues there; look with `inv triton.list`, or allow more with --timeout.",
        ) from exc
    except TritonUnreachableError as exc:
        raise server_died(client, name, disk, log_end) from exc
    except TritonError as exc:
        raise load_error(exc, client, name, model, disk) from exc


def refuse_stuck(disk: ServedFolder | None, name: str, rows: Rows) -> None:
    """Raise LoadError for a model in a load that never ends: another load or an unload would hang too."""
    if disk is None or not any(row.state == "LOADING" for row in rows):
        return
    if reason := stuck_loads(disk.logged_since(0)).get(name):
        raise LoadError(f"{name}: {reason}", hint=RESTART_HINT)


def _call(client: TritonClient, name: str, disk: ServedFolder | None, log_end: int, deadline: Deadline) -> None:
    """Load, and stop waiting as soon as a readable log shows that the load never ends."""
    if disk is None or not disk.log.exists():
        client.load(name, timeout=deadline.left)
        return
    call = LoadCall(client, name, timeout=deadline.left)
    call.start()
    while True:
        with suppress(queue.Empty):
            call.done.get(timeout=min(_POLL, deadline.left))
            break
        if reason := stuck_loads(disk.logged_since(log_end)).get(name):
            raise LoadError(f"{name}: {reason}", hint=RESTART_HINT)
        if deadline.left <= _POLL:
            raise TritonTimeoutError(f"Triton at {client.url} did not answer within {deadline.timeout:g} s")
    if call.error:
        raise call.error
