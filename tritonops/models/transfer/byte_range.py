"""A part of one file, on its way over one connection."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tritonops.models.http.address import Address

if TYPE_CHECKING:
    from tritonops.models.http.response import Response
    from tritonops.models.transfer.file_download import Assembly

MIN_PIECE, MAX_PIECE = 1 << 20, 64 << 20
MIN_READ, MAX_READ = 1 << 16, 1 << 19
SLOW_READ_SECONDS = 0.02
"""A read that takes longer is made smaller: what is half read when the process ends has to be fetched again."""


@dataclass(eq=False)
class Piece:
    """An interval that one connection fetches; `at` is how far it has come."""

    assembly: Assembly
    start: int
    end: int
    is_only: bool = False
    """Whether it goes to the file's end, for a server that ignores Range."""
    is_locating: bool = False
    """Whether it has to find out where the bytes are; the file's other pieces wait for that."""
    location: Address | None = None
    """Where it was sent for its bytes."""
    is_hashing: bool = False
    """Whether all bytes before it are hashed, so that its own can be as they arrive, while the processor has them."""
    at: int = field(init=False)
    room: int = MIN_READ
    """Bytes of its next read."""
    _response: Response | None = None
    _began_at: int = 0
    _began: float = 0.0

    def __post_init__(self) -> None:
        self.at = self.start

    def begin(self, response: Response) -> None:
        """Note that its bytes begin to come, as the range that was asked for or as the whole file."""
        self._response, self._began_at, self._began = response, self.at, time.monotonic()

    def seconds_left(self, now: float) -> float:
        """How long it will take at the speed that it has had; at most as long as it has been seen for."""
        seen = now - self._began
        return min(seen, (self.end - self.at) * seen / max(1, self.at - self._began_at))

    def advance(self, count: int, seconds: float) -> None:
        """Note that a read of so many bytes took so long."""
        self.at += count
        is_slow = seconds > SLOW_READ_SECONDS
        self.room = max(MIN_READ, self.room // 2) if is_slow else min(MAX_READ, self.room * 2)

    @property
    def is_divisible(self) -> bool:
        """Whether another connection can take over its second half, which its own is still far from."""
        return self._response is not None and self._response.status == 206 and self.end - self.at > 4 * self.room

    @property
    def is_behind(self) -> bool:
        """Whether more has arrived than its next read takes: not the connection is slow then, but whoever reads it.

        What the server sends until it hears of a division is fetched twice: as much as fits into the buffers that are
        full then.
        """
        return self._response is not None and self._response.waiting > self.room
