"""What a load or an unload came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tritonops.triton.list import Rows

if TYPE_CHECKING:
    from tritonops.triton.smoke import SmokeResult


Verdict = Literal["loaded", "current", "unloaded", "not loaded"]


@dataclass(frozen=True)
class LoadResult:
    """What became of a model: `loaded` anew, `current` already, `unloaded`, or `not loaded` in the first place."""

    model: str
    verdict: Verdict
    versions: Rows
    steps: tuple[str, ...] = ()
    """Of an ensemble: the models that were loaded with it, since they were not served as they are on disk."""
    dependents: tuple[str, ...] = ()
    """The models in service that use what was loaded, and were seen to be served still."""
    smoke_tests: tuple[SmokeResult, ...] = ()
