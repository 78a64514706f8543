"""What can go wrong on the way, on demand."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["status", "drop", "stall", "slow", "flip", "ignore-range", "etag", "length"]


@dataclass
class Fault:
    """Something that happens to the next `times` answers to requests whose path contains `where`."""

    kind: Kind
    where: str = "/cdn/"
    times: int = 1
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    after: int = 0
    """For "drop" and "stall": how many bytes of the body come first. For "flip": which byte of the file.
    For "slow": how many bytes come in a second."""


class Faults:
    """The faults that are still to happen."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        with self._guard:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._guard:
            self._faults.clear()

    def take(self, path: str, asked: range) -> Fault | None:
        """Find the fault that a request for these bytes meets, and use it up by one."""
        with self._guard:
            for fault in self._faults:
                if fault.times > 0 and fault.where in path and (fault.kind != "flip" or fault.after in asked):
                    fault.times -= 1
                    return fault
        return None
