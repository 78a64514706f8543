"""Which run of the tests this is: its workers share what is costly to make."""

from __future__ import annotations

import os

_RUN = "TRITONOPS_TEST_RUN"


def begin() -> None:
    """Name the run; workers inherit the name."""
    os.environ.setdefault(_RUN, str(os.getpid()))


def run_id() -> str:
    """Give the run's name: the process id of the one that began it."""
    return os.environ.get(_RUN, str(os.getpid()))


def is_own() -> bool:
    """Whether this process began the run, and so ends what its workers share."""
    return os.environ.get(_RUN) == str(os.getpid())
