"""The smoke tests after a load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tritonops.triton.client.client import TritonClient
from tritonops.triton.load import LoadResult
from tritonops.triton.smoke import SMOKE_NAME, run_smoke_tests


def smoke_tested(client: TritonClient, result: LoadResult, config_dir: Path) -> LoadResult:
    """Run the smoke tests of the loaded models, and of the models that use them."""
    paths = {name: config_dir / name / SMOKE_NAME for name in affected(result)}
    tests = {name: path for name, path in paths.items() if path.exists()}
    return replace(result, smoke_tests=tuple(run_smoke_tests(client, tests)))


def affected(result: LoadResult) -> tuple[str, ...]:
    """Name the models in service that a load changed, and those that use them."""
    if result.verdict in ("current", "not loaded") and not result.steps:
        return ()
    is_served = any(row.state == "READY" for row in result.versions)
    return (*((result.model,) if is_served else ()), *result.steps, *result.dependents)
