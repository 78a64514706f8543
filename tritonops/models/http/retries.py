"""When to try a request again, and when to give up."""

from __future__ import annotations

import random
import time

from tritonops.errors import SourceError
from tritonops.models.http.errors import TransientError
from tritonops.models.http.watchdog import Watchdog
from tritonops.redaction import redact

MAX_WAIT_SECONDS = 600.0
ATTEMPTS = 8
"""Failures in a row, without progress, until a file is given up."""
ATTEMPTS_AT_FIRST = 4
"""The same for a host that has not answered once: its name may be wrong, or the network away."""
LATE_TRY_SECONDS = 0.5
"""For what is wanted of a host that has answered nobody for as long as a listing may take."""


class Retries:
    """When to try again, and when to give up: after too many failures in a row, or too long without progress."""

    def __init__(self, watchdog: Watchdog, what: str, *, is_listing: bool = False, idle_seconds: float = 0.0) -> None:
        self._watchdog, self._what, self.is_listing = watchdog, what, is_listing
        self._since = 0.0
        self.progressed()
        self._since -= idle_seconds

    @property
    def has_failed(self) -> bool:
        """Whether the last try failed."""
        return self._failures > 0

    @property
    def until(self) -> float | None:
        """When the whole has to be complete."""
        return self._since + self._watchdog.patience_seconds if self.is_listing else None

    @property
    def seconds(self) -> float:
        """How long there was no progress; a listing has none before it is complete."""
        idle = time.monotonic() - self._since
        return idle if self.is_listing else idle - self._paused

    @property
    def window(self) -> float:
        """Seconds that the next try may be without a byte."""
        return max(0.1, min(self._watchdog.stall_seconds, self._watchdog.patience_seconds - self.seconds))

    def share(self, first_asked: float) -> None:
        """Count from when the host was asked first, which has answered nobody: all that is wanted of it fails together.

        What comes late is tried once.
        """
        earliest = time.monotonic() - self._watchdog.patience_seconds + LATE_TRY_SECONDS
        self._since = min(self._since, max(first_asked, earliest))

    def progressed(self) -> None:
        """Count from the beginning again."""
        self._since, self._failures = time.monotonic(), 0
        self._asked = 0.0
        """Seconds that servers have asked to wait, without progress."""
        self._paused = 0.0
        """Those of them that have passed."""

    def wait_as_asked(self, seconds: float) -> None:
        """Wait because a server has asked for it: files get that much more time."""
        self._paused += seconds
        self._watchdog.wait(seconds)

    def pause(self, error: TransientError) -> None:
        """Wait before the next try, longer after each failure in a row; raise SourceError after too many."""
        self._failures += 1
        watchdog = self._watchdog
        # Jitter, so that connections which failed together do not come back together.
        backoff = min(watchdog.stall_seconds / 2, 0.25 * 2**self._failures) * random.uniform(0.5, 1.0)  # noqa: S311
        delay = backoff if error.delay is None else error.delay
        self._asked += error.delay or 0.0
        left = watchdog.patience_seconds - self.seconds - (delay if self.is_listing or error.delay is None else 0.0)
        limit = ATTEMPTS_AT_FIRST if error.is_first_contact else ATTEMPTS
        if self._failures >= limit or left <= 0 or self._asked > MAX_WAIT_SECONDS:
            tries = f"{self._failures} tries" if self._failures > 1 else "one try"
            asked = f" and asks to wait {worded_seconds(error.delay)}" if error.delay else ""
            raise SourceError(f"{redact(self._what)}: {error}{asked}; gave up after {tries}") from error
        if error.delay is None:
            watchdog.wait(backoff)
        else:
            self.wait_as_asked(error.delay)


def worded_seconds(delay: float) -> str:
    """Word a delay that a server asked for."""
    return f"{delay:.0f} seconds" if delay < 1e9 else "more seconds than anybody has"
