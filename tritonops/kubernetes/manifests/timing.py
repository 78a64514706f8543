"""The seconds of a pod's life: how long it may load, and how it ends without losing a request."""

from __future__ import annotations

import math
from dataclasses import dataclass

PROBE_PERIOD = 5
CONNECTION_AGE = 2
"""How long a gRPC channel stays with one pod: so a new pod gets a share of clients that keep their channel."""
_BYTES_A_SECOND = 50_000_000
_START = 60
_PRE_STOP = 15
_EXIT_TIMEOUT = 30
_MARGIN = 5
"""For endpoints to be gone: until then new channels are opened to the pod."""


@dataclass(frozen=True)
class Timing:
    """The durations of a target's pods, in whole seconds."""

    start: int
    """The budget of a start: reading every byte of the models, and 60 seconds."""
    longest_request: int

    @classmethod
    def of(cls, size: int, *, start: int | None, longest_request: int) -> Timing:
        """Compute them for models of this size in bytes."""
        return cls(start or math.ceil(size / _BYTES_A_SECOND) + _START, longest_request)

    @property
    def start_failures(self) -> int:
        """The startup probes that may fail."""
        return math.ceil(self.start / PROBE_PERIOD)

    @property
    def progress_deadline(self) -> int:
        """After so long without progress a rollout has failed."""
        return self.start + 120

    @property
    def connection_grace(self) -> int:
        """How long the requests of a channel that was told to go may take."""
        return self.longest_request

    @property
    def pre_stop(self) -> int:
        """The wait before SIGTERM: Triton refuses requests within 20 ms of it, so clients have to be gone."""
        return max(_PRE_STOP, CONNECTION_AGE + self.connection_grace + _MARGIN + 1)

    @property
    def exit_timeout(self) -> int:
        """How long Triton waits for in-flight requests after SIGTERM."""
        return max(_EXIT_TIMEOUT, self.longest_request)

    @property
    def termination(self) -> int:
        """After so long the pod is killed."""
        return self.pre_stop + self.exit_timeout + 15
