"""Models with generated configs on a real Triton, compared with ONNX Runtime itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from tests.models.onnx_suite import SuiteModel
from tritonops.errors import TritonOpsError
from tritonops.models.catalog.catalog import Catalog
from tritonops.models.check import check
from tritonops.models.checked import Checked
from tritonops.models.configs.config_options import ConfigOptions
from tritonops.models.configs.rendering import render_configs
from tritonops.models.disk.repository import Repository
from tritonops.models.graphs.examine import ExaminedGraph, examine_graphs
from tritonops.models.rules.judged_server import embedded_server

_LARGEST_BATCH = 8


@dataclass(frozen=True)
class Verdict:
    """What was reported of a model before, and what a real Triton did."""

    model: str
    unservable: str | None = None
    """Why it gets no config."""
    reported: str | None = None
    """What `models.check --load` calls an error."""
    refused: str | None = None
    """What Triton reported at the load."""
    wrong: str | None = None
    """How an answer differs from ONNX Runtime's."""

    @property
    def is_right(self) -> bool:
        """Whether Triton answered rightly, or refused what was reported to be refused."""
        return self.wrong is None and (self.reported is None) == (self.refused is None)


def judge_and_serve(
    models: Iterable[SuiteModel],
    repository: Path,
    client: InferenceServerClient,
    *,
    options: ConfigOptions | None = None,
) -> list[Verdict]:
    """Generate a config for each graph, judge it, load it, and compare an answer."""
    named = {model.name: model for model in models}
    staged = repository.with_name("staged")
    paths = {name: model.write(staged) for name, model in named.items()}
    unservable, errors = configure_and_judge(examine_graphs(list(paths.values())), paths, staged, options=options)
    verdicts = []
    for name, reason in unservable.items():
        if reason:
            verdicts.append(Verdict(name, unservable=reason))
            continue
        (staged / name).rename(repository / name)
        verdicts.append(_serve(named[name], repository / name, client, errors.get(name)))
        shutil.rmtree(repository / name)
    return verdicts


def configure_and_judge(
    examined: Mapping[Path, ExaminedGraph | TritonOpsError],
    paths: Mapping[str, Path],
    staged: Path,
    *,
    options: ConfigOptions | None = None,
) -> tuple[dict[str, str | None], dict[str, str]]:
    """Write a config for each graph; gives why some get none, and what `models.check --load` calls errors."""
    unservable = {name: _configure(examined[path], staged / name, options) for name, path in paths.items()}
    for name, reason in unservable.items():
        if reason:
            shutil.rmtree(staged / name)
    return unservable, _errors(staged)


def _configure(examined: ExaminedGraph | TritonOpsError, home: Path, options: ConfigOptions | None) -> str | None:
    try:
        if isinstance(examined, TritonOpsError):
            raise examined
        rendered = render_configs(examined, "model.onnx", home, options=options)
    except TritonOpsError as exc:
        return str(exc)
    (home / "config.pbtxt").write_text(rendered.texts[home / "cpu.pbtxt"], encoding="utf-8")
    return None


def _errors(repository: Path) -> dict[str, str]:
    nowhere = repository.with_name("nowhere")
    catalog = Catalog(nowhere / "models.toml", ())
    checked = Checked(
        catalog, Repository(repository), nowhere, nowhere / "models.lock", embedded_server(), trials="all", variants=()
    )
    return {found.model: found.what for found in check(checked) if found.severity == "error"}


def _serve(model: SuiteModel, home: Path, client: InferenceServerClient, reported: str | None) -> Verdict:
    try:
        client.load_model(model.name, client_timeout=120)
    except InferenceServerException as exc:
        return Verdict(model.name, reported=reported, refused=str(exc.message()))
    try:
        return Verdict(model.name, reported=reported, wrong=_difference(model, home, client))
    finally:
        client.unload_model(model.name)


def _difference(model: SuiteModel, home: Path, client: InferenceServerClient) -> str | None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(home / "1" / "model.onnx"), options, providers=["CPUExecutionProvider"])
    outputs = [node.name for node in session.get_outputs()]
    if not model.inputs and session.get_inputs():
        return None
    try:
        feeds = {name: _as_text(array) for name, array in model.inputs.items()}
        expected, again = (dict(zip(outputs, session.run(None, feeds), strict=True)) for _ in range(2))
    except Exception:
        return None  # ONNX Runtime does not run it with these inputs either
    try:
        answer = client.infer(model.name, _inputs(model.inputs, client, model.name), client_timeout=120)
    except InferenceServerException as exc:
        return f"failed: {exc.message()}"
    for name in outputs:
        if difference := _differs(answer.as_numpy(name), expected[name], again[name]):
            return f"{name}: {difference}"
    return None


def _as_text(array: Any) -> Any:
    return array.astype(object) if array.dtype.kind in "US" else array


def _inputs(arrays: Mapping[str, Any], client: InferenceServerClient, name: str) -> list[InferInput]:
    shapes = {spec.name: [int(size) for size in spec.shape] for spec in client.get_model_metadata(name).inputs}
    found = []
    for input_name, array in arrays.items():
        if input_name not in shapes:
            continue
        value = array if array.ndim else np.reshape(array, [abs(size) for size in shapes[input_name]])
        if value.dtype.kind in "USO":
            value = np.array([str(item).encode() for item in value.ravel()], dtype=object).reshape(value.shape)
        made = InferInput(input_name, list(value.shape), np_to_triton_dtype(value.dtype))
        made.set_data_from_numpy(value)
        found.append(made)
    return found


def _differs(ours: Any, expected: Any, again: Any) -> str | None:
    expected = np.asarray(expected)
    if ours is None:
        return "is missing"
    if not expected.ndim:
        expected, again = np.reshape(expected, ours.shape), np.reshape(again, ours.shape)
    if ours.shape != expected.shape:
        return f"has the shape {list(ours.shape)}, expected {list(expected.shape)}"
    if expected.dtype.kind in "OUS":
        texts = [item.decode() if isinstance(item, bytes) else str(item) for item in ours.ravel()]
        return None if texts == [str(item) for item in expected.ravel()] else "has other strings"
    if not np.array_equal(expected, again, equal_nan=expected.dtype.kind in "fc"):
        return None  # it is random
    close = np.allclose(ours.astype("f8"), expected.astype("f8"), rtol=1e-3, atol=1e-5, equal_nan=True)
    return None if close else f"is {ours.ravel()[:3]}, expected {expected.ravel()[:3]}"
