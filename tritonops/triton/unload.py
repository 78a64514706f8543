"""Unload a model: done when the server serves no version of it any more."""

from __future__ import annotations

from tritonops.errors import TritonTimeoutError
from tritonops.triton.client.client import TritonClient
from tritonops.triton.client.waiting import Deadline, wait_until_settled
from tritonops.triton.dependents import refuse_needed
from tritonops.triton.disk.served_folder import ServedFolder
from tritonops.triton.list import list_models, rows_of_known
from tritonops.triton.load import LOAD_TIMEOUT, LoadResult
from tritonops.triton.load_request import refuse_stuck

_ACTIVE = ("READY", "LOADING", "UNLOADING")


def unload_model(
    client: TritonClient, name: str, *, disk: ServedFolder | None = None, timeout: float = LOAD_TIMEOUT
) -> LoadResult:
    """Unload all versions of a model, and wait until they are gone; in-flight requests are answered.

    Raises InputError while an ensemble in service has it as a step, which Triton would take out of service too, or
    while a model in service calls it, as models.toml declares with `depends_on`.
    """
    deadline = Deadline.after(timeout)
    index = list_models(client)
    rows = rows_of_known(client, name, index)
    if not any(row.state in _ACTIVE for row in rows):
        return LoadResult(name, "not loaded", rows)
    refuse_needed(client, name, index, disk)
    refuse_stuck(disk, name, rows)
    if disk:
        disk.discard(name)
    try:
        client.unload(name, timeout=deadline.left)
    except TritonTimeoutError as exc:
        states = ", ".join(f"version {row.version} is {row.state}" for row in rows if row.state in _ACTIVE)
        raise TritonTimeoutError(
            f"{name}: Triton at {client.url} had not unloaded it within {timeout:g} s: {states}",
            hint="A model that is LOADING is unloaded after that; a load that never ends ends with the server.",
        ) from exc
    return LoadResult(name, "unloaded", wait_until_settled(client, name, deadline, states=_ACTIVE))
