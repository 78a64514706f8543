"""Threads for work that waits for a network: as many as the line is long, as few as the processor is slow."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")

FIRST = 2
"""To begin with. On a fast line they are enough, and more would only take turns: with eight, 200 tiny models took a
quarter more processor time (`./inv bench download --arg tiny`)."""
GROWTH = 4
"""Where the processor idles the way is long, and all are at work before the first bytes are there."""
RAMP_SECONDS, TICK_SECONDS = 0.02, 0.2
SPARE = 0.5
"""Share of one processor: where the process uses less, its connections are what it waits for."""


class Crew:
    """Threads that all call `work`, which returns when there is nothing left to do. They do not outlive the process.

    `most` is the limit.
    """

    def __init__(self, work: Callable[[], None], *, most: int) -> None:
        self._work, self._most = work, most
        self._threads: list[threading.Thread] = []
        self._is_growing = True

    def start(self, first: int = FIRST) -> None:
        """Set the first threads to work."""
        self._used, self._since = time.process_time(), time.monotonic()
        self._add(first)

    @property
    def size(self) -> int:
        """How many threads there are."""
        return len(self._threads)

    @property
    def patience(self) -> float:
        """Seconds until it is worth a look again whether more are needed."""
        return RAMP_SECONDS if self._is_growing else TICK_SECONDS

    def grow(self) -> None:
        """Add threads, if the processor had time for more since the last call."""
        used, now = time.process_time(), time.monotonic()
        self._is_growing = used - self._used < SPARE * (now - self._since) and len(self._threads) < self._most
        if self._is_growing:
            self._add((GROWTH - 1) * len(self._threads))
        self._used, self._since = used, now

    def is_gone_in(self, *, seconds: float) -> bool:
        """Wait for them to end, and return whether they have."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _add(self, count: int) -> None:
        for _ in range(min(count, self._most - len(self._threads))):
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()


def in_parallel(work: Callable[[_T], _R], items: Sequence[_T], *, threads: int, first: int = FIRST) -> list[_R]:
    """Call `work` for each item, on `first` threads and on more of them where they wait; daemons, for Ctrl-C.

    Raises what `work` raised first, when it was called for all.
    """
    waiting, results, errors = deque(enumerate(items)), dict[int, _R](), list[Exception]()
    over = threading.Event()

    def run() -> None:
        while waiting:
            with suppress(IndexError):
                index, item = waiting.popleft()
                try:
                    results[index] = work(item)
                except Exception as exc:
                    errors.append(exc)
                if len(results) + len(errors) == len(items):
                    over.set()

    crew = Crew(run, most=min(threads, len(items)))
    crew.start(first)
    while items and not over.wait(crew.patience):
        crew.grow()
    if errors:
        raise errors[0]
    return [results[index] for index in range(len(items))]
