"""The numbers that the engine works with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """Every constant of the engine; sizes are bytes, durations are seconds."""

    max_connections: int = 64
    """Over a long line a CDN gives one connection some 10 to 40 MB/s, so these fill a line of several Gbit/s; a fast or
    a short one is filled by fewer, and no more are opened. `curl --parallel` goes as far as 50, `aria2c -x16 -j8` as
    far as 128."""

    first_workers: int = 2
    """On a fast line they are enough, and more would only take turns: with eight, 200 tiny models took a quarter more
    CPU time (`./inv bench download --arg tiny`)."""
    growth: int = 4
    """Times as many workers after each look at an idle CPU: all are running before the first bytes are there."""
    ramp_seconds: float = 0.02
    tick_seconds: float = 0.2
    """Between two looks, while the number of workers grows and afterwards."""
    busy_share: float = 0.5
    """Share of one CPU from which on more connections would not help."""
    far_seconds: float = 0.01
    """A server that answers later needs all connections from the beginning."""

    min_range: int = 1 << 20
    max_range: int = 64 << 20
    begun_ahead: int = 16
    """Files that are begun before one of them gets a second connection: finding a file takes several round trips, and
    at the end of a download nothing else would hide them."""

    min_read: int = 1 << 16
    max_read: int = 1 << 19
    slow_read_seconds: float = 0.02
    """A read that takes longer is made smaller: what is half read when the process ends is fetched again."""

    split_seconds: float = 0.02
    """What is left of a range has to take that long, or four round trips, to be split."""
    split_round_trips: int = 4
    max_overshoot: float = 0.08
    """Share of all bytes that servers may send twice: where a range was split, its server sends on until its connection
    is closed."""
    buffers: int = 2
    """Socket buffers that are full when a reader is slow: ours, and the server's, which is taken to be as large."""

    max_hashed: int = 16 << 20
    """Bytes that are hashed at a time, when they did not arrive in order."""
    max_attempts: int = 2
    """A hash mismatch is retried once; a second one is the source's fault."""
    max_unjournaled: int = 1 << 16
    """A file up to this size is fetched as a whole by each run: a journal would cost more than it saves."""


DEFAULT_TUNING = Tuning()
