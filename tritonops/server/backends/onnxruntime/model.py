"""The backend "onnxruntime" of the embedded Triton: the onnxruntime package, behind Triton's Python backend.

Triton runs one process of this file for each instance of a model, with nothing of tritonops to import. It refuses
what NVIDIA's onnxruntime backend refuses, in the same words, so that a configuration that works here works there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Set before the import of onnxruntime, which otherwise reports its use and keeps a device id in the home folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils
from graph_checks import RefusedError, SessionTensor, check, format_shape, read_tensors
from ort_values import BFLOAT16, bfloat16_tensor, bfloat16_value, read_bfloat16, to_array, to_value

_TRIALS = 3
"""The number of times that joined requests are also run one by one, to compare the outputs."""


class TritonPythonModel:
    """One instance of one version of a model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph; an error here is the reason that Triton gives for the model."""
        config = json.loads(args["model_config"])
        graph = _graph_file(Path(args["model_repository"], args["model_version"]), config)
        self._session = onnxruntime.InferenceSession(
            str(graph), _session_options(config), providers=["CPUExecutionProvider"]
        )
        inputs, outputs = read_tensors(self._session.get_inputs()), read_tensors(self._session.get_outputs())
        optional = read_tensors(self._session.get_overridable_initializers())
        check(config, inputs, outputs, optional)
        self._batching = config["max_batch_size"] > 0
        self._trials = _TRIALS if _has_one_batch(self._session) else 0
        self._joins = self._trials > 0
        self._inputs = {**inputs, **optional}
        self._outputs = [outputs[output["name"]] for output in config["output"]]
        self._dims: dict[str, list[int]] = {tensor["name"]: tensor["dims"] for tensor in config["output"]}
        self._has_bfloat16_outputs = BFLOAT16 in {output.datatype for output in self._outputs}

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer the requests of Triton's dynamic batcher, in one run if the graph allows that."""
        if len(requests) > 1 and self._joins:
            try:
                return self._answer_together(requests)
            except Exception:  # noqa: S110 (run one by one, each request gets its own output or error)
                pass
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            return pb_utils.InferenceResponse(self._respond(self._values(request)))
        except Exception as exc:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(exc)))

    def _values(self, request: Any) -> list[Any]:
        values = self._run([request])
        if self._batching:
            self._require_rows(values, _rows([request])[0])
        return values

    def _answer_together(self, requests: list[Any]) -> list[Any]:
        sizes = _rows(requests)
        values = self._run(requests)
        try:
            self._require_rows(values, sum(sizes))
        except ValueError:
            self._joins = False
            raise
        parts = list(zip(*(np.split(value, np.cumsum(sizes)[:-1]) for value in values), strict=True))
        if self._trials:
            parts = self._compared(requests, parts)
        return [pb_utils.InferenceResponse(self._respond(part)) for part in parts]

    def _compared(self, requests: list[Any], together: list[Any]) -> list[Any]:
        """Run the requests one by one too; if the outputs differ, rows depend on each other and are never joined."""
        alone = [self._values(request) for request in requests]
        self._trials -= 1
        self._joins = all(
            _is_close(a, b)
            for ours, theirs in zip(alone, together, strict=True)
            for a, b in zip(ours, theirs, strict=True)
        )
        return alone

    def _require_rows(self, values: list[Any], rows: int) -> None:
        """Raise ValueError for an output without one row for each of the batch, which cannot be split."""
        for output, value in zip(self._outputs, values, strict=True):
            shape = np.shape(value)
            if shape[:1] != (rows,):
                raise ValueError(
                    f"output '{output.name}' has the shape {format_shape(shape)} for a batch of {rows}: "
                    "its first dimension is not the batch, and max_batch_size has to be 0"
                )

    def _run(self, requests: list[Any]) -> list[Any]:
        given = [{tensor.name(): self._read(tensor) for tensor in request.inputs()} for request in requests]
        joined = given[0] if len(given) == 1 else {name: np.concatenate([g[name] for g in given]) for name in given[0]}
        feeds = {name: _to_runtime(array, self._inputs[name]) for name, array in joined.items()}
        names = [output.name for output in self._outputs]
        if not names:
            return []  # to a session, no names are all names
        if not self._has_bfloat16_outputs:
            return list(self._session.run(names, feeds))
        values = {name: feed if self._is_bfloat16(name) else to_value(feed) for name, feed in feeds.items()}
        return [to_array(value) for value in self._session.run_with_ort_values(names, values)]

    def _read(self, tensor: Any) -> Any:
        return read_bfloat16(tensor) if self._is_bfloat16(tensor.name()) else tensor.as_numpy()

    def _is_bfloat16(self, name: str) -> bool:
        return bool(self._inputs[name].datatype == BFLOAT16)

    def _respond(self, values: Iterable[Any]) -> list[Any]:
        return [self._to_tensor(output, value) for output, value in zip(self._outputs, values, strict=True)]

    def _to_tensor(self, output: SessionTensor, value: Any) -> Any:
        """Make an output tensor; a scalar gets the dimensions of the configuration, all 1."""
        array = value if np.ndim(value) else np.reshape(value, self._scalar_dims(output))
        make = bfloat16_tensor if output.datatype == BFLOAT16 else pb_utils.Tensor
        return make(output.name, array)

    def _scalar_dims(self, output: SessionTensor) -> list[int]:
        if output.shape:
            raise ValueError(f"output '{output.name}' is a scalar, but {format_shape(output.shape)} in the graph")
        return self._dims[output.name]


def _rows(requests: list[Any]) -> list[int]:
    return [request.inputs()[0].shape()[0] for request in requests]


def _has_one_batch(session: Any) -> bool:
    """Whether all first dimensions have one name; otherwise the size of an output may depend on the batch."""
    nodes = (*session.get_inputs(), *session.get_outputs())
    firsts = {node.shape[0] if node.shape else None for node in nodes}
    return len(firsts) == 1 and all(isinstance(first, str) and first for first in firsts)


def _is_close(ours: Any, theirs: Any) -> bool:
    """Whether two arrays are equal, except for the rounding of another order of additions; bfloat16 is in bits."""
    if ours.shape != theirs.shape or ours.dtype.kind not in "fc":
        return bool(np.array_equal(ours, theirs))
    scale = float(np.max(np.abs(ours), initial=1.0, where=np.isfinite(ours)))
    tolerance = 1e-2 if ours.dtype == np.float16 else 1e-4
    return bool(np.allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale, equal_nan=True))


def _to_runtime(array: Any, tensor: SessionTensor) -> Any:
    """Convert an input to what the session takes: text, bfloat16, a scalar without dimensions."""
    if tensor.datatype == "TYPE_STRING":
        array = np.array([_text(item, tensor.name) for item in array.ravel()], dtype=object).reshape(array.shape)
    array = array if tensor.shape else _to_scalar(array, tensor.name)
    return bfloat16_value(array) if tensor.datatype == BFLOAT16 else array


def _to_scalar(array: Any, name: str) -> Any:
    """Drop the dimensions, all 1; a batch of 2 and more has the scalar once for each row."""
    items = array.ravel()
    values = set((items if items.dtype == object else items.view(f"V{items.itemsize}")).tolist())
    if len(values) != 1:
        raise ValueError(f"input '{name}' is a scalar in the graph, and has {len(values)} values in this batch")
    return items[:1].reshape(())


def _text(item: bytes | str, name: str) -> str:
    try:
        return item.decode() if isinstance(item, bytes) else item
    except UnicodeDecodeError as exc:
        raise ValueError(f"input '{name}': a string is not UTF-8: {item!r}") from exc


def _graph_file(version: Path, config: dict[str, Any]) -> Path:
    """Find the graph, in a folder of its own if it has external weights."""
    graph = version / (config.get("default_model_filename", "").lstrip("/") or "model.onnx")  # as Triton joins it
    return graph / "model.onnx" if graph.is_dir() else graph


def _session_options(config: dict[str, Any]) -> Any:
    """Divide the cores among the instances, unless the configuration sets the number of threads."""
    options = onnxruntime.SessionOptions()
    instances = sum(group["count"] for group in config["instance_group"]) or 1
    default = max(1, len(os.sched_getaffinity(0)) // instances)
    options.intra_op_num_threads = _parameter(config, "intra_op_thread_count", default)
    options.inter_op_num_threads = _parameter(config, "inter_op_thread_count", 1)
    mode = _parameter(config, "execution_mode", 0)
    if mode not in (0, 1):
        raise RefusedError(f"invalid configuration value: expected for execution_mode are 0 or 1 but got {mode}")
    if mode == 1:
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    return options


def _parameter(config: dict[str, Any], name: str, default: int) -> int:
    """Read a number of the configuration's `parameters`; 0 means the default."""
    value = config.get("parameters", {}).get(name, {}).get("string_value", "0")
    if not value.isascii() or not value.isdigit():
        raise RefusedError(f"parameter '{name}' must be a whole number, not '{value}'")
    return int(value) or default
