"""Entries of models.toml: what they name that is not there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tritonops.errors import near_misses
from tritonops.models.catalog.catalog import ModelVersion
from tritonops.models.rules.finding import Problem


def missing_file_problem(entry: ModelVersion, path: Path) -> Problem | None:
    """Say that the file of an entry is not on disk."""
    if path.exists():
        return None
    return Problem(
        "not-downloaded",
        f"version {entry.version} is not on disk, so its config was not compared with its graph",
        "Triton serves what is on disk",
        f"`inv models.download --include {entry.name}`",
        "warning",
    )


def callee_problems(name: str, entries: Iterable[ModelVersion], known: tuple[str, ...]) -> Iterator[Problem]:
    """Find models that a model depends on and that are nowhere."""
    for callee in dict.fromkeys(callee for entry in entries for callee in entry.depends_on):
        if callee not in known or callee == name:
            yield Problem(
                "depends-on-unknown",
                f"`depends_on` names {callee!r}, which is no other model of models.toml or of the disk",
                "nothing would be kept in service for this model",
                near_misses(callee, known, "models") or "add it to models.toml",
            )
