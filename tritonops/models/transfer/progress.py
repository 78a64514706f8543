"""What a download reports while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Transfer:
    """A file under way, or one that has arrived."""

    label: str
    size: int
    received: int
    """Bytes that are here, from this run or an earlier one."""
    earlier: int
    """Bytes that an earlier run had left."""
    seconds: float
    """Since it was begun in this run."""

    @property
    def speed(self) -> float:
        """Bytes a second of this run."""
        return (self.received - self.earlier) / self.seconds if self.seconds else 0.0


class Progress:
    """Override what you show. `warned` may come from any thread, the others from the one that called the library."""

    def waiting(self, holder: str) -> None:
        """Another process holds the store; it is waited for."""

    def reading(self, files: int, size_bytes: int) -> None:
        """So many files, of so many bytes in all, changed since they were last read, and are being hashed."""

    def warned(self, message: str) -> None:
        """Something is not as it should be, and the work goes on."""

    def moved(self, active: Sequence[Transfer], received: int, total: int) -> None:
        """Some time has passed: the files under way, and how many bytes of all there are to fetch are here."""

    def arrived(self, transfer: Transfer) -> None:
        """A file is complete, verified and in the store."""
