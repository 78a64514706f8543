"""A part of one file, as one connection fetches it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from tritonops.models.http.address_with_token import Address
from tritonops.models.transfer.tuning import DEFAULT_TUNING, Tuning


class Connection(Protocol):
    """What a range has to know of the response that its bytes come from."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def unread_bytes(self) -> int:
        """Bytes that have arrived and were not read yet."""

    @property
    def receive_buffer(self) -> int:
        """Bytes that may arrive without being read."""


@dataclass(eq=False)
class ByteRange:
    """An interval that one connection fetches; `position` is how far it has come."""

    start: int
    end: int
    to_end_of_file: bool = False
    """Whether it takes the rest of the file, from a server that ignores Range."""
    is_locating: bool = False
    """Whether it has to find out where the bytes are; the file's other ranges wait for that."""
    url: Address | None = None
    """Where it was sent for its bytes."""
    is_hashing: bool = False
    """Whether all bytes before it are hashed, so that its own can be as they arrive, while the CPU has them."""
    tuning: Tuning = field(default=DEFAULT_TUNING, repr=False)
    position: int = field(init=False)
    read_size: int = field(init=False)
    """Bytes of its next read."""
    requested_end: int = field(init=False)
    """Up to where its connection was asked to send."""
    _connection: Connection | None = None
    _first_position: int = 0
    _connected: float = 0.0

    def __post_init__(self) -> None:
        self.position, self.requested_end, self.read_size = self.start, self.end, self.tuning.min_read

    def connected(self, connection: Connection, now: float) -> None:
        """Record that its bytes begin to arrive, as the range that was asked for or as the whole file."""
        self._connection, self._first_position, self._connected = connection, self.position, now

    def seconds_left(self, now: float) -> float:
        """How long it will take at its speed so far; at most as long as it has been connected."""
        elapsed = now - self._connected
        return min(elapsed, (self.end - self.position) * elapsed / max(1, self.position - self._first_position))

    def advance(self, count: int, seconds: float) -> None:
        """Record that a read of so many bytes took so long."""
        self.position += count
        tuning = self.tuning
        if seconds > tuning.slow_read_seconds:
            self.read_size = max(tuning.min_read, self.read_size // 2)
        else:
            self.read_size = min(tuning.max_read, self.read_size * 2)

    @property
    def is_splittable(self) -> bool:
        """Whether another connection can take over its second half, which its own is still far from."""
        return (
            self._connection is not None and self._connection.status == 206 and self._is_long(self.end - self.position)
        )

    def split_point(self) -> int | None:
        """Find the middle of what has not arrived yet.

        None where more has arrived than the next read takes: the reader is slow then, not the connection.
        """
        unread = self._connection.unread_bytes if self._connection else 0
        arrived = self.position + unread
        return (arrived + self.end) // 2 if unread <= self.read_size and self._is_long(self.end - arrived) else None

    def overshoot(self, end: int) -> int:
        """How many bytes its server may send behind `end`: what fits into the buffers on the way."""
        buffer = self._connection.receive_buffer if self._connection else 0
        return min(self.requested_end - end, self.tuning.buffers * buffer)

    def _is_long(self, left: int) -> bool:
        return left > 4 * self.read_size
