"""The state of a host's Triton, read through SSH or on the host itself."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tritonops.documents import parse_record
from tritonops.triton.client.client import TritonClient
from tritonops.triton.list import list_models
from tritonops.triton.smoke import find_smoke_tests, run_smoke_tests


@dataclass(frozen=True)
class TritonState:
    """The served versions, their configs, and the results of their smoke tests."""

    served: tuple[tuple[str, int], ...]
    configs: Mapping[str, str] = field(default_factory=dict)
    """The digest of each model's served config."""
    smoke: Mapping[str, str] = field(default_factory=dict)
    """The problem of each model with a smoke test; empty if it passed."""

    @classmethod
    def parse(cls, text: str) -> TritonState:
        """Read the output of `remote.prove`. Raises ValueError."""
        return parse_record(cls, text)


def config_digest(client: TritonClient, name: str) -> str:
    """Digest the served config of a model."""
    return hashlib.sha256(client.config(name).SerializeToString(deterministic=True)).hexdigest()[:16]


def read_triton_state(client: TritonClient, names: Collection[str], config_dir: Path | None) -> TritonState:
    """Read the served versions and the configs of these models, and run the smoke tests below `config_dir`."""
    versions = ready_versions(client)
    present = {name for name, _ in versions}.intersection(names)
    configs = {name: config_digest(client, name) for name in sorted(present)}
    tests = find_smoke_tests(config_dir) if config_dir else {}
    results = run_smoke_tests(client, {name: path for name, path in tests.items() if name in present})
    return TritonState(versions, configs, {result.model: "; ".join(result.problems) for result in results})


def ready_versions(client: TritonClient) -> tuple[tuple[str, int], ...]:
    """List the model versions that are ready, also those without a folder."""
    rows = list_models(client)
    return tuple((row.name, row.version) for row in rows if row.state == "READY" and row.version is not None)
