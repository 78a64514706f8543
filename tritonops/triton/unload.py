"""Unload a model: done when the server serves no version of it any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tritonops.errors import (
    InputError,
    TritonTimeoutError,
)
from tritonops.triton.client.client import TritonClient
from tritonops.triton.client.waiting import Deadline, wait_until_settled
from tritonops.triton.dependents import ensemble_steps
from tritonops.triton.list import require_known
from tritonops.triton.load import _SERVED, LOAD_TIMEOUT, _refuse_stuck
from tritonops.triton.load_result import LoadResult
from tritonops.triton.served_folder import ServedFolder

if TYPE_CHECKING:
    pass


def unload_model(
    client: TritonClient, name: str, *, disk: ServedFolder | None = None, timeout: float = LOAD_TIMEOUT
) -> LoadResult:
    """Take all versions of a model out of service, and return once none is left; requests under way are answered.

    Refused while an ensemble that is served needs it: Triton would take that one out of service too. Refused as well
    while a model is served that calls it, as far as models.toml says so.
    """
    deadline = Deadline.after(timeout)
    rows = require_known(client, name)
    if not any(row.state in _SERVED for row in rows):
        return LoadResult(name, "not loaded", rows)
    if ensembles := serving_ensembles(client, name):
        raise InputError(
            f"{name}: it is a step of {', '.join(ensembles)}, which Triton would take out of service with it",
            hint=f"Unload {', '.join(ensembles)} first.",
        )
    if callers := _serving_callers(client, name, disk):
        raise InputError(
            f"{name}: it is called by {', '.join(callers)} (depends_on in models.toml), which would fail without it",
            hint=f"Unload {', '.join(callers)} first.",
        )
    _refuse_stuck(disk, name, rows)
    if disk:
        disk.discard(name)
    try:
        client.unload(name, timeout=deadline.left)
    except TritonTimeoutError as exc:
        states = ", ".join(f"version {row.version} is {row.state}" for row in rows if row.state in _SERVED)
        raise TritonTimeoutError(
            f"{name}: Triton at {client.url} had not unloaded it within {timeout:g} s: {states}",
            hint="A model that is LOADING is unloaded after that; a load that never ends ends with the server.",
        ) from exc
    return LoadResult(name, "unloaded", wait_until_settled(client, name, deadline, gone=_SERVED))


def serving_ensembles(client: TritonClient, step: str) -> list[str]:
    """Name the ensembles that are served and have this model as a step."""
    names = {row.name for row in client.index() if row.state == "READY"} - {step}
    return sorted(name for name in names if step in ensemble_steps(client.config(name)))


def _serving_callers(client: TritonClient, name: str, disk: ServedFolder | None) -> list[str]:
    in_service = {row.name for row in client.index() if row.state == "READY"}
    return sorted(in_service & {*(disk.callers.get(name, ()) if disk else ())})
