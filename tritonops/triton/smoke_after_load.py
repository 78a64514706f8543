"""Smoke tests of what a load brought into service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tritonops.triton.client.client import TritonClient
from tritonops.triton.smoke import SMOKE_NAME, run_smoke_tests

if TYPE_CHECKING:
    from tritonops.triton.load_result import LoadResult


def smoke_tested(client: TritonClient, outcome: LoadResult, config_dir: Path) -> LoadResult:
    """Run the smoke tests of what a load brought into service, and of the models that use it."""
    paths = {name: config_dir / name / SMOKE_NAME for name in affected(outcome)}
    tests = {name: path for name, path in paths.items() if path.exists()}
    return replace(outcome, smoke_tests=tuple(run_smoke_tests(client, tests)))


def affected(outcome: LoadResult) -> tuple[str, ...]:
    """Name the models in service that a load changed, and those that use them."""
    if outcome.verdict in ("current", "not loaded") and not outcome.steps:
        return ()
    is_served = any(row.state == "READY" for row in outcome.versions)
    return (*((outcome.model,) if is_served else ()), *outcome.steps, *outcome.dependents)
