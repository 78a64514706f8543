"""When to try a request again, and when to give up."""

from __future__ import annotations

import random
import re
import time
from typing import Protocol

from tritonops.errors import SourceError
from tritonops.models.http.errors import TransientError
from tritonops.redaction import redact

MAX_WAIT_SECONDS = 600.0
ATTEMPTS = 8
"""Failures in a row, without progress, until a file is given up."""
FIRST_CONTACT_ATTEMPTS = 4
"""The same for a host that has never answered: its name may be wrong, or the network down."""
_NO_CONTACT = "Is there a network? HTTPS_PROXY names a proxy, HF_ENDPOINT a mirror of the Hub."
LATE_TRY_SECONDS = 0.5
"""For requests to a host that has answered nobody for as long as a listing may take."""


class Clock(Protocol):
    """What time it is, and how to wait."""

    def now(self) -> float:
        """Seconds, as time.monotonic() counts them."""

    def wait(self, seconds: float) -> None:
        """Sleep. Raises StoppedError where the download is stopped meanwhile."""


class Retries:
    """Counts the failures of one file or listing: too many in a row, or too long without progress, end it.

    `stall_seconds` is how long a connection may stall, `patience_seconds` how long a listing may take or a file be
    without progress.
    """

    def __init__(
        self,
        clock: Clock,
        what: str,
        *,
        stall_seconds: float,
        patience_seconds: float,
        is_listing: bool = False,
        idle_seconds: float = 0.0,
    ) -> None:
        self._clock, self._what, self.is_listing = clock, what, is_listing
        self._stall_seconds, self._patience_seconds = stall_seconds, patience_seconds
        self._since = 0.0
        self.progressed()
        self._since -= idle_seconds

    @property
    def has_failed(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    @property
    def until(self) -> float | None:
        """When a listing has to be complete."""
        return self._since + self._patience_seconds if self.is_listing else None

    @property
    def seconds(self) -> float:
        """How long there was no progress; a listing has none before it is complete."""
        idle = self._clock.now() - self._since
        return idle if self.is_listing else idle - self._paused

    @property
    def window(self) -> float:
        """Seconds that the next attempt may be without a byte."""
        return max(0.1, min(self._stall_seconds, self._patience_seconds - self.seconds))

    def share(self, first_asked: float) -> None:
        """Count from the first request to a host that has answered nobody: all requests to it fail together.

        A late one is tried once.
        """
        earliest = self._clock.now() - self._patience_seconds + LATE_TRY_SECONDS
        self._since = min(self._since, max(first_asked, earliest))

    def progressed(self) -> None:
        """Count from now on."""
        self._since, self._failures = self._clock.now(), 0
        self._asked = 0.0
        """Seconds that servers have asked to wait, without progress."""
        self._paused = 0.0
        """Those of them that have passed."""

    def wait_as_asked(self, seconds: float) -> None:
        """Wait because a server has asked for it: files get that much more time."""
        self._paused += seconds
        self._clock.wait(seconds)

    def pause(self, error: TransientError) -> None:
        """Wait before the next attempt, longer after each failure in a row; raise SourceError after too many."""
        self._failures += 1
        # Jitter, so that connections which failed together do not come back together.
        backoff = min(self._stall_seconds / 2, 0.25 * 2**self._failures) * random.uniform(0.5, 1.0)  # noqa: S311
        delay = backoff if error.delay is None else error.delay
        self._asked += error.delay or 0.0
        left = self._patience_seconds - self.seconds - (delay if self.is_listing or error.delay is None else 0.0)
        limit = FIRST_CONTACT_ATTEMPTS if error.is_first_contact else ATTEMPTS
        if self._failures >= limit or left <= 0 or self._asked > MAX_WAIT_SECONDS:
            tries = f"{self._failures} tries" if self._failures > 1 else "one try"
            asked = f" and asks to wait {format_delay(error.delay)}" if error.delay else ""
            hint = _NO_CONTACT if error.is_first_contact else None
            raise SourceError(f"{redact(self._what)}: {error}{asked}; gave up after {tries}", hint=hint) from error
        if error.delay is None:
            self._clock.wait(backoff)
        else:
            self.wait_as_asked(error.delay)


def retry_after(value: str | None) -> float | None:
    """Read a Retry-After header, in seconds or as a date; None where there is none, or none to understand."""
    if value is None:
        return None
    if re.fullmatch("[0-9]{1,300}", value.strip(" \t")):
        return float(value)
    import email.utils

    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError, IndexError, OSError):
        return None


def format_delay(seconds: float) -> str:
    """Format a delay that a server asked for."""
    return f"{seconds:.0f} seconds" if seconds < 1e9 else "more seconds than anybody has"
