"""Signals during a change, which is finished or rolled back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tritonops.compose.engine.docker import Watch

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """The effect of the next signal: an exception, or only a message."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._deferred = False
        self._postponed = False
        self._pending: int | None = None

    def defer(self) -> None:
        """Let no signal interrupt the following steps."""
        self._deferred = True

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """Delay signals until the end of a short block, whose command the engine would finish anyway."""
        self._postponed = True
        try:
            yield
        finally:
            self._postponed = False
        if self._pending is not None:
            self._raise(self._pending)

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, or SystemExit with a shell's exit code, for the first signal."""
        if self._deferred:
            self._watch("please wait: returning to a container that serves")
        elif self._postponed:
            self._pending = signum
        else:
            self._raise(signum)

    def _raise(self, signum: int) -> None:
        self._deferred = True
        raise KeyboardInterrupt if signum == signal.SIGINT else SystemExit(128 + signum)


@contextmanager
def interruptible(watch: Watch) -> Iterator[Interruption]:
    """Turn SIGINT, SIGTERM and SIGHUP into one exception; an ignored signal stays ignored."""
    interruption = Interruption(watch)
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number, handler in handlers.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, interruption.handle)
        yield interruption
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
