"""The result of a deploy or a rollback."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TargetResult:
    """What became of a target."""

    target: str
    result: str
    """ "no changes", "deployed", "finished" (a deploy that was interrupted) or "rolled back"."""
    release: str
    revision: int
    before: str | None
    """The release that served before."""
    pods: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    """Objects that the release no longer has, as kind/name."""
    seconds: float = 0.0
