"""Trials remembered between runs, by the content of the graph and its weights and by the version of ONNX Runtime."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tritonops.documents import parse_json
from tritonops.errors import GraphError, InputError
from tritonops.files import read_text, write_json
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.models.graphs.onnx_graph import GraphTensor, read_graph
from tritonops.models.graphs.trial import PROGRAM, TIMEOUT, BatchTrial, Trial, TrialRequest, try_graphs

MAX_ENTRIES = 20_000
_MAX_SIZE = 2_000 * MAX_ENTRIES


class TrialCache:
    """Trials in one JSON file: what was tried on the same bytes is not tried again."""

    def __init__(self, path: Path, digests: DigestCache) -> None:
        self._path, self._digests = path, digests

    def try_graphs(
        self,
        requests: Iterable[TrialRequest],
        *,
        timeout: float = TIMEOUT,
        on_start: Callable[[TrialRequest], object] = lambda _: None,
    ) -> dict[TrialRequest, Trial]:
        """Give the trial of each graph; only those that are not known are run."""
        keys = {request: self._key(request) for request in requests}
        found = {request: self._saved[key] for request, key in keys.items() if key in self._saved}
        first = {keys[request] or request: request for request in keys if request not in found}  # of equal content
        tried = try_graphs(first.values(), timeout=timeout, on_start=on_start)
        tried |= {request: tried[first[key or request]] for request, key in keys.items() if request not in found}
        self._save({keys[request]: trial for request, trial in tried.items() if trial.state in ("loaded", "refused")})
        return found | tried

    def _key(self, request: TrialRequest) -> str:
        """Name what a trial depends on by its digest; "" for files that cannot be read."""
        try:
            graph = read_graph(request.path)
            data = sorted({request.path.parent / each.location for each in graph.external_data})
            contents = [self._digests.sha256(path) for path in (request.path, *data, *map(Path, request.libraries))]
            contents += _links((request.path, *data)) if data else []
        except (OSError, GraphError):
            return ""
        values = [*contents, _runtime_version(), _program_digest(), asdict(replace(request, path=Path(), libraries=()))]
        return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()

    def _save(self, trials: Mapping[str, Trial]) -> None:
        """Write down new trials. A cache that cannot be written only costs time later."""
        new = {key: trial for key, trial in trials.items() if key}
        if not new:
            return
        kept = dict(list({**self._saved, **new}.items())[-MAX_ENTRIES:])
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, {key: asdict(trial) for key, trial in kept.items()}, sync=False)

    @cached_property
    def _saved(self) -> dict[str, Trial]:
        try:
            saved = parse_json(read_text(self._path, _MAX_SIZE), self._path)
            return {key: _trial(values) for key, values in saved.items()}
        except (InputError, ValueError, TypeError, KeyError, AttributeError):
            return {}  # written by nobody, or by something else


def _links(paths: Iterable[Path]) -> list[str]:
    """Say where the files lie, links followed: ONNX Runtime refuses weights outside of the graph's folder."""
    return [os.path.relpath(path.resolve(), path.parent.resolve()) for path in paths]


def _trial(values: Mapping[str, Any]) -> Trial:
    return Trial(
        values["state"],
        values["reason"],
        values["kind"],
        _tensors(values["inputs"]),
        _tensors(values["optional_inputs"]),
        _tensors(values["outputs"]),
        BatchTrial(**values["batches"]),
    )


def _tensors(values: Iterable[Mapping[str, Any]]) -> tuple[GraphTensor, ...]:
    return tuple(GraphTensor(each["name"], each["datatype"], tuple(each["shape"])) for each in values)


def _runtime_version() -> str:
    try:
        return version("onnxruntime")
    except PackageNotFoundError:
        return ""


def _program_digest() -> str:
    return hashlib.sha256(PROGRAM.read_bytes()).hexdigest()
