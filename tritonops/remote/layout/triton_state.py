"""What a Triton answers about the models of a host: asked through SSH from elsewhere, or on the host itself."""

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
    """What is served, and how its smoke tests ended."""

    served: tuple[tuple[str, int], ...]
    configs: Mapping[str, str] = field(default_factory=dict)
    """The digest of each model's served config."""
    smoke: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with the answer of a model that has a smoke test; empty where nothing is."""

    @classmethod
    def parse(cls, text: str) -> TritonState:
        """Read what `remote.prove` printed; ValueError where it is something else."""
        return parse_record(cls, text)


def config_digest(client: TritonClient, name: str) -> str:
    """Digest the config that a model is served with."""
    return hashlib.sha256(client.config(name).SerializeToString(deterministic=True)).hexdigest()[:16]


def ask(client: TritonClient, names: Collection[str], config_dir: Path | None) -> TritonState:
    """Ask which versions are served, the configs of these models, and the smoke tests below `config_dir`."""
    versions = served(client)
    present = {name for name, _ in versions}.intersection(names)
    configs = {name: config_digest(client, name) for name in sorted(present)}
    tests = find_smoke_tests(config_dir) if config_dir else {}
    results = run_smoke_tests(client, {name: path for name, path in tests.items() if name in present})
    return TritonState(versions, configs, {result.model: "; ".join(result.problems) for result in results})


def served(client: TritonClient) -> tuple[tuple[str, int], ...]:
    """List the model versions that are ready, also those whose folder has gone."""
    rows = list_models(client)
    return tuple((row.name, row.version) for row in rows if row.state == "READY" and row.version is not None)
