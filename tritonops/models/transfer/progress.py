"""What a download reports while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Transfer:
    """A file that is being fetched, or one that is complete."""

    label: str
    size: int
    received: int
    """Bytes that have arrived, in this run or an earlier one."""
    earlier: int
    """Bytes that an earlier run had left."""
    seconds: float
    """Since this run began with it."""

    @property
    def speed(self) -> float:
        """Bytes a second of this run."""
        return (self.received - self.earlier) / self.seconds if self.seconds else 0.0


class Progress:
    """Override what you show. `warned` may come from any thread, the others from the one that called the library."""

    def waiting(self, owner: str) -> None:
        """Another process has locked the store; the download waits for it."""

    def reading(self, files: int, size_bytes: int) -> None:
        """Files that changed since they were last read are being hashed."""

    def warned(self, message: str) -> None:
        """Something is wrong, and the download goes on."""

    def moved(self, active: Sequence[Transfer], received: int, total: int) -> None:
        """Some time has passed: the files in flight, and how many of all bytes to fetch have arrived."""

    def arrived(self, transfer: Transfer) -> None:
        """A file is complete, verified and stored."""
