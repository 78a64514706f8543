"""A load call in a thread, because Triton never answers one whose model cannot start."""

from __future__ import annotations

import queue
import threading

from tritonops.triton.client.client import TritonClient

_GRACE = 60.0


class LoadCall(threading.Thread):
    """Loads one model in a thread, and puts itself into `done` at the end, with the `error` of a failed call.

    The caller stops waiting after `timeout` seconds; the call itself ends a minute later, or with the client.
    """

    def __init__(
        self, client: TritonClient, model: str, *, timeout: float, done: queue.SimpleQueue[LoadCall] | None = None
    ) -> None:
        super().__init__(daemon=True)
        self.model, self.timeout = model, timeout
        self.done: queue.SimpleQueue[LoadCall] = done or queue.SimpleQueue()
        self.error: BaseException | None = None
        self._client = client

    def run(self) -> None:
        """Make the call."""
        try:
            self._client.load(self.model, timeout=self.timeout + _GRACE)
        except BaseException as exc:  # passed on to the waiting thread
            self.error = exc
        self.done.put(self)
