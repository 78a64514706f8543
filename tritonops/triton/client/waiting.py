"""Deadlines, and waiting for a server."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tritonops.errors import TritonError, TritonTimeoutError, TritonUnreachableError
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import TritonClient

NOT_READY_HINT = "It may still be loading (--wait SECONDS), or a model failed to load: look with `inv triton.list`."
_SHORTEST_POLL, _LONGEST_POLL = 0.05, 0.5
_PART = 0.1
"""Of the time waited so far, the pause before the next poll: many servers on a busy machine are asked less often."""


@dataclass(frozen=True)
class Deadline:
    """A deadline for several steps together; `timeout` is the whole time in seconds."""

    timeout: float
    end: float

    @classmethod
    def after(cls, timeout: float) -> Deadline:
        """Start the time now."""
        return cls(timeout, time.monotonic() + timeout)

    @property
    def left(self) -> float:
        """Seconds that remain; never zero, which gRPC refuses."""
        return max(self.end - time.monotonic(), 0.001)

    def polls(self) -> Iterator[None]:
        """Yield at once, and then until the deadline: every 50 ms at first, every half second in the end."""
        started = time.monotonic()
        while True:
            yield
            now = time.monotonic()
            if now >= self.end:
                return
            time.sleep(min(max((now - started) * _PART, _SHORTEST_POLL), _LONGEST_POLL, self.left))


def require_ready(client: TritonClient) -> None:
    """Raise TritonError if the server reports that it is not ready."""
    if not client.is_ready():
        raise TritonError(f"Triton at {client.url} is not ready", hint=NOT_READY_HINT)


def wait_until_ready(client: TritonClient, *, timeout: float) -> None:
    """Wait until the server reports itself ready. Raises TritonTimeoutError after `timeout` seconds.

    That proves nothing about single models: one with an unreadable config is not counted.
    """
    reason = "it reports that it is not"
    for _ in (deadline := Deadline.after(timeout)).polls():
        try:
            if client.is_ready(timeout=min(deadline.left, 5.0)):
                return
        except (TritonUnreachableError, TritonTimeoutError) as exc:
            reason = str(exc)
    message = f"Triton at {client.url} was not ready within {timeout:g} s: {reason}"
    raise TritonTimeoutError(message, hint=NOT_READY_HINT)


def wait_until_settled(
    client: TritonClient, name: str, deadline: Deadline, *, states: Collection[str]
) -> tuple[ModelStatus, ...]:
    """Poll the index until no version of the model is in one of these states; return its rows."""
    for _ in deadline.polls():
        rows = tuple(row for row in client.index() if row.name == name)
        waiting = [row for row in rows if row.state in states]
        if not waiting:
            return rows
    found = ", ".join(f"version {row.version} is {row.state}" for row in waiting)
    raise TritonTimeoutError(
        f"{name}: after {deadline.timeout:g} s {found} on Triton at {client.url}",
        hint="It continues there; look with `inv triton.list`, or allow more with --timeout.",
    )
