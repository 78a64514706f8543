"""How many workers there are: more, as long as the CPU is idle."""

from __future__ import annotations

from tritonops.models.transfer.tuning import DEFAULT_TUNING, Tuning


class Ramp:
    """A number of workers that grows up to a limit while the process waits for the network."""

    def __init__(self, limit: int, *, first: int | None = None, tuning: Tuning = DEFAULT_TUNING) -> None:
        self._limit, self._tuning = limit, tuning
        self.workers = min(limit, tuning.first_workers if first is None else first)
        self._is_growing = True
        self._cpu_seconds, self._looked = 0.0, 0.0

    def start(self, cpu_seconds: float, now: float) -> None:
        """Measure from now on."""
        self._cpu_seconds, self._looked = cpu_seconds, now

    def look(self, cpu_seconds: float, now: float) -> int:
        """Decide on the number of workers, by the CPU time that the process has used since the last look."""
        used, elapsed = cpu_seconds - self._cpu_seconds, now - self._looked
        self.start(cpu_seconds, now)
        self._is_growing = used < self._tuning.busy_share * elapsed and self.workers < self._limit
        if self._is_growing:
            self.workers = min(self._limit, self._tuning.growth * self.workers)
        return self.workers

    @property
    def poll_interval(self) -> float:
        """Seconds until the next look is worth it."""
        return self._tuning.ramp_seconds if self._is_growing else self._tuning.tick_seconds
