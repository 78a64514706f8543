"""Deadlines, and waiting for what a server does in its own time."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tritonops.errors import TritonError, TritonTimeoutError, TritonUnreachableError
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import TritonClient

NOT_READY_HINT = "It may be loading still (--wait SECONDS), or a model failed to load: look with `inv triton.list`."
_POLL = 0.05


@dataclass(frozen=True)
class Deadline:
    """A moment until which several steps have to be done together; `timeout` is the whole of it in seconds."""

    timeout: float
    end: float

    @classmethod
    def after(cls, timeout: float) -> Deadline:
        """Begin now."""
        return cls(timeout, time.monotonic() + timeout)

    @property
    def left(self) -> float:
        """Seconds that remain; never quite zero, which gRPC would refuse."""
        return max(self.end - time.monotonic(), 0.001)

    def polls(self) -> Iterator[None]:
        """Yield at once, and then again and again, a moment apart, until the time is up."""
        while True:
            yield
            if time.monotonic() >= self.end:
                return
            time.sleep(_POLL)


def require_ready(client: TritonClient) -> None:
    """Raise a TritonError where the server answers that it is not ready."""
    if not client.is_ready():
        raise TritonError(f"Triton at {client.url} is not ready", hint=NOT_READY_HINT)


def wait_until_ready(client: TritonClient, *, timeout: float) -> None:
    """Return as soon as the server says that it is ready; TritonTimeoutError when it has not within `timeout`.

    Its word proves nothing about single models: one whose configuration it cannot read is not counted.
    """
    reason = "it answers that it is not"
    for _ in (deadline := Deadline.after(timeout)).polls():
        try:
            if client.is_ready(timeout=min(deadline.left, 5.0)):
                return
        except (TritonUnreachableError, TritonTimeoutError) as exc:
            reason = str(exc)
    message = f"Triton at {client.url} was not ready within {timeout:g} s: {reason}"
    raise TritonTimeoutError(message, hint=NOT_READY_HINT)


def wait_until_settled(
    client: TritonClient, name: str, deadline: Deadline, *, gone: Collection[str]
) -> tuple[ModelStatus, ...]:
    """Poll the index until no version of the model is in one of the states `gone`; return its rows."""
    for _ in deadline.polls():
        rows = tuple(row for row in client.index() if row.name == name)
        waiting = [row for row in rows if row.state in gone]
        if not waiting:
            return rows
    states = ", ".join(f"version {row.version} is {row.state}" for row in waiting)
    raise TritonTimeoutError(
        f"{name}: after {deadline.timeout:g} s {states} on Triton at {client.url}",
        hint="It goes on there; look with `inv triton.list`, or give it longer with --timeout.",
    )
