"""Threads for work that waits for a network."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from tritonops.models.transfer.connection_ramp import Ramp

_T = TypeVar("_T")
_R = TypeVar("_R")


class WorkerPool:
    """An I/O thread pool that grows while the CPU is idle. Its threads are daemons: they end with the process.

    `work` is called in each of them, and returns when there is nothing left to do.
    """

    def __init__(self, work: Callable[[], None], ramp: Ramp) -> None:
        self._work, self._ramp = work, ramp
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the first threads."""
        self._ramp.start(time.process_time(), time.monotonic())
        self._grow_to(self._ramp.workers)

    @property
    def poll_interval(self) -> float:
        """Seconds until another call of `grow` is worth it."""
        return self._ramp.poll_interval

    def grow(self) -> None:
        """Add threads, if the CPU was idle since the last call."""
        self._grow_to(self._ramp.look(time.process_time(), time.monotonic()))

    def join(self, *, timeout: float) -> bool:
        """Wait for the threads to end; returns whether they have."""
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _grow_to(self, count: int) -> None:
        while len(self._threads) < count:
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()


def in_parallel(work: Callable[[_T], _R], items: Sequence[_T], *, threads: int, first: int | None = None) -> list[_R]:
    """Call `work` for each item, on `first` threads and on more of them while the CPU is idle.

    Raises what `work` raised first, when it was called for all.
    """
    if not items:
        return []
    waiting, results, errors = deque(enumerate(items)), dict[int, _R](), list[Exception]()
    is_over = threading.Event()

    def run() -> None:
        while waiting:
            with suppress(IndexError):
                index, item = waiting.popleft()
                try:
                    results[index] = work(item)
                except Exception as exc:
                    errors.append(exc)
                if len(results) + len(errors) == len(items):
                    is_over.set()

    pool = WorkerPool(run, Ramp(min(threads, len(items)), first=first))
    pool.start()
    while not is_over.wait(pool.poll_interval):
        pool.grow()
    if errors:
        raise errors[0]
    return [results[index] for index in range(len(items))]
