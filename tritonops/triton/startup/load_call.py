"""A load call of which the end need not be waited for: Triton never answers one whose model cannot start."""

from __future__ import annotations

import queue
import threading

from tritonops.triton.client.client import TritonClient

_GRACE = 60.0


class LoadCall(threading.Thread):
    """Loads one model in a thread; it puts itself into `done` when it has ended, with `error` where it failed.

    `timeout` is the deadline of the caller, who stops waiting then. The call itself ends a minute later at the latest,
    or when the client is closed. `error` may be anything that the call raised.
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
        except BaseException as exc:  # for the thread that waits: it would wait for its whole deadline otherwise
            self.error = exc
        self.done.put(self)
