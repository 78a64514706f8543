"""The status of a host, in one row."""

from __future__ import annotations

from dataclasses import dataclass

from tritonops.errors import TritonError
from tritonops.remote.client.endpoint import served_now
from tritonops.remote.client.host_state import inspect_host
from tritonops.remote.ssh.host import Host


@dataclass(frozen=True)
class HostStatus:
    """Release, health and lock owner of a host."""

    release: str | None
    digest: str | None
    """Of the release's manifest: hosts with the same digest were sent the same bytes."""
    by: str | None
    at: str | None
    runtime: str | None
    triton: str
    """ "up", "down", or its problem."""
    served: int | None
    """Model versions that are ready."""
    expected: int | None
    """Model versions that were ready when the release was activated."""
    lock: str | None
    free: int


def status(host: Host) -> HostStatus:
    """Inspect a host, in one round trip and one request to its Triton."""
    state = inspect_host(host, measure_free=True)
    try:
        served = served_now(host, state) if state.current else None
        triton = "down" if served is None else "up"
    except TritonError as exc:
        served, triton = None, str(exc)
    if state.current and state.release is None:
        triton = f"{triton}, the folder of its release is missing"
    if state.disabled:
        triton = f"{triton}, disabled: {', '.join(state.disabled)}"
    if state.interrupted:
        triton = f"{triton}, a switch to {state.interrupted} was interrupted"
    return HostStatus(
        release=state.current,
        digest=(state.release.digest or None) if state.release else None,
        by=state.release.by if state.release else None,
        at=state.activation.at if state.activation else None,
        runtime=state.release.runtime if state.release else None,
        triton=triton,
        served=None if served is None else len(served),
        expected=len(state.activation.served) if state.activation else None,
        lock=str(state.lock_owner) if state.lock_owner else None,
        free=state.free,
    )
