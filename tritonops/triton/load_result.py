"""The result of a load or an unload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tritonops.triton.list import Rows

if TYPE_CHECKING:
    from tritonops.triton.smoke import SmokeResult


Verdict = Literal["loaded", "current", "unloaded", "not loaded"]


@dataclass(frozen=True)
class LoadResult:
    """What happened to a model: `loaded`, `current` (nothing to do), `unloaded`, or `not loaded` before the unload."""

    model: str
    verdict: Verdict
    versions: Rows
    steps: tuple[str, ...] = ()
    """The component models that were loaded with an ensemble, because they were outdated."""
    dependents: tuple[str, ...] = ()
    """The models in service that use what was loaded, verified to be in service still."""
    smoke_tests: tuple[SmokeResult, ...] = ()
