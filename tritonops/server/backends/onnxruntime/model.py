"""The backend "onnxruntime" of the embedded Triton: the onnxruntime package, behind Triton's Python backend.

Triton runs one process of this file for each instance of a model, with nothing of tritonops to import. What it
refuses to load, and in which words, follows NVIDIA's onnxruntime backend, so that a configuration which is served
here is served there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Read when onnxruntime is imported: it reports its use to its maker otherwise, and keeps a device id in the home.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

_TYPES = {
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(bfloat16)": "TYPE_BF16",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(bool)": "TYPE_BOOL",
    "tensor(string)": "TYPE_STRING",
}


_TRIALS = 3
"""So many times joined requests are run one by one too, and the answers compared."""


class Refused(Exception):
    """The configuration does not fit the graph, or asks for what this backend cannot do."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of the graph; a dimension that varies is -1."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class TritonPythonModel:
    """One instance of one version of a model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph; what is raised here is the reason that Triton gives for the model."""
        config = json.loads(args["model_config"])
        graph = _graph_file(Path(args["model_repository"], args["model_version"]), config)
        self._session = onnxruntime.InferenceSession(
            str(graph), _session_options(config), providers=["CPUExecutionProvider"]
        )
        inputs, outputs = _tensors(self._session.get_inputs()), _tensors(self._session.get_outputs())
        optional = _tensors(self._session.get_overridable_initializers())
        check(config, inputs, outputs, optional)
        self._batching = config["max_batch_size"] > 0
        self._trials = _TRIALS if _has_one_batch(self._session) else 0
        self._joins = self._trials > 0
        self._inputs = {**inputs, **optional}
        self._outputs = [outputs[output["name"]] for output in config["output"]]
        self._dims = {tensor["name"]: tensor["dims"] for tensor in config["output"]}
        self._has_bfloat16 = "TYPE_BF16" in {tensor.datatype for tensor in (*self._inputs.values(), *self._outputs)}

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer requests that Triton's dynamic batcher put together, in one run where the graph allows that."""
        if len(requests) > 1 and self._joins and not self._has_bfloat16:
            try:
                return self._answer_together(requests)
            except Exception:  # noqa: S110 (by itself, each request gets its own answer, or its own error)
                pass
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            return pb_utils.InferenceResponse(self._respond(self._values(request)))
        except Exception as exc:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(exc)))

    def _values(self, request: Any) -> list[Any]:
        values = self._run_bfloat16(request) if self._has_bfloat16 else self._run([request])
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
        """Run the requests one by one too; where the answers differ, rows depend on each other and are never joined."""
        alone = [self._values(request) for request in requests]
        self._trials -= 1
        self._joins = all(
            _is_close(a, b)
            for ours, theirs in zip(alone, together, strict=True)
            for a, b in zip(ours, theirs, strict=True)
        )
        return alone

    def _require_rows(self, values: list[Any], rows: int) -> None:
        """Raise ValueError for an output that has not one row for each of the batch: it cannot be shared out."""
        for output, value in zip(self._outputs, values, strict=True):
            shape = tuple(value.shape() if callable(value.shape) else value.shape)
            if shape[:1] != (rows,):
                raise ValueError(
                    f"output '{output.name}' has the shape {_shown(shape)} for a batch of {rows}: its first dimension "
                    "is not the batch, and max_batch_size has to be 0"
                )

    def _run(self, requests: list[Any]) -> list[Any]:
        feeds = [
            {tensor.name(): _to_runtime(tensor.as_numpy(), self._inputs[tensor.name()]) for tensor in request.inputs()}
            for request in requests
        ]
        joined = feeds[0] if len(feeds) == 1 else {name: np.concatenate([f[name] for f in feeds]) for name in feeds[0]}
        values: list[Any] = self._session.run([output.name for output in self._outputs], joined)
        return values

    def _run_bfloat16(self, request: Any) -> list[Any]:
        """Numpy has no bfloat16, so that such tensors go in and out by DLPack."""
        feeds = {tensor.name(): self._to_value(tensor) for tensor in request.inputs()}
        values = self._session.run_with_ort_values([output.name for output in self._outputs], feeds)
        return [
            value if output.datatype == "TYPE_BF16" else value.numpy()
            for output, value in zip(self._outputs, values, strict=True)
        ]

    def _to_value(self, tensor: Any) -> Any:
        expected = self._inputs[tensor.name()]
        if expected.datatype == "TYPE_BF16":
            return onnxruntime.OrtValue.from_dlpack(tensor)
        return onnxruntime.OrtValue.ortvalue_from_numpy(_to_runtime(tensor.as_numpy(), expected))

    def _respond(self, values: Iterable[Any]) -> list[Any]:
        return [self._to_tensor(output, value) for output, value in zip(self._outputs, values, strict=True)]

    def _to_tensor(self, output: Tensor, value: Any) -> Any:
        """A scalar of the graph gets the dimensions of the configuration, all 1."""
        if output.datatype == "TYPE_BF16":
            return pb_utils.Tensor.from_dlpack(output.name, value)
        return pb_utils.Tensor(output.name, value if output.shape else np.reshape(value, self._dims[output.name]))


def _rows(requests: list[Any]) -> list[int]:
    return [request.inputs()[0].shape()[0] for request in requests]


def _has_one_batch(session: Any) -> bool:
    """Whether all first dimensions have one name: without it, an output's may depend on what is in the batch."""
    nodes = (*session.get_inputs(), *session.get_outputs())
    firsts = {node.shape[0] if node.shape else None for node in nodes}
    return len(firsts) == 1 and all(isinstance(first, str) and first for first in firsts)


def _is_close(ours: Any, theirs: Any) -> bool:
    """Whether two arrays are the same but for the rounding of another order of additions."""
    if ours.shape != theirs.shape or ours.dtype.kind not in "fc":
        return bool(np.array_equal(ours, theirs))
    scale = float(np.max(np.abs(ours), initial=1.0, where=np.isfinite(ours)))
    tolerance = 1e-2 if ours.dtype == np.float16 else 1e-4
    return bool(np.allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale, equal_nan=True))


def _to_runtime(array: Any, tensor: Tensor) -> Any:
    """Strings are bytes to Triton, and text to ONNX; a scalar of the graph is of one element to Triton."""
    if tensor.datatype == "TYPE_STRING":
        array = np.array([_text(item, tensor.name) for item in array.ravel()], dtype=object).reshape(array.shape)
    return array if tensor.shape else array.reshape(())


def _text(item: bytes | str, name: str) -> str:
    try:
        return item.decode() if isinstance(item, bytes) else item
    except UnicodeDecodeError as exc:
        raise ValueError(f"input '{name}': a string is not UTF-8: {item!r}") from exc


def _graph_file(version: Path, config: dict[str, Any]) -> Path:
    """The graph, or the folder that holds it together with its external weights."""
    graph = version / (config.get("default_model_filename") or "model.onnx")
    return graph / "model.onnx" if graph.is_dir() else graph


def _session_options(config: dict[str, Any]) -> Any:
    """Share the processor's cores among the instances, unless the configuration says how many threads each has."""
    options = onnxruntime.SessionOptions()
    instances = sum(group["count"] for group in config["instance_group"]) or 1
    default = max(1, len(os.sched_getaffinity(0)) // instances)
    options.intra_op_num_threads = _parameter(config, "intra_op_thread_count", default)
    options.inter_op_num_threads = _parameter(config, "inter_op_thread_count", 1)
    mode = _parameter(config, "execution_mode", 0)
    if mode not in (0, 1):
        raise Refused(f"invalid configuration value: expected for execution_mode are 0 or 1 but got {mode}")
    if mode == 1:
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    return options


def _parameter(config: dict[str, Any], name: str, default: int) -> int:
    """Read a number of the configuration's `parameters`; 0 asks for the default."""
    value = config.get("parameters", {}).get(name, {}).get("string_value", "0")
    if not value.isascii() or not value.isdigit():
        raise Refused(f"parameter '{name}' must be a whole number, not '{value}'")
    return int(value) or default


def _tensors(nodes: Iterable[Any]) -> dict[str, Tensor]:
    found = {}
    for node in nodes:
        if node.type not in _TYPES:
            raise Refused(f"unsupported ONNX type '{node.type}' for '{node.name}', expected a tensor")
        shape = tuple(dim if isinstance(dim, int) else -1 for dim in node.shape)
        found[node.name] = Tensor(node.name, _TYPES[node.type], shape)
    return found


def check(
    config: dict[str, Any], inputs: dict[str, Tensor], outputs: dict[str, Tensor], optional: dict[str, Tensor]
) -> None:
    """Raise Refused where the configuration does not fit the graph, as NVIDIA's backend would."""
    name, batching = config["name"], config["max_batch_size"] > 0
    _refuse_unsupported(name, config)
    required = [tensor for tensor in config["input"] if not tensor.get("optional")]
    if len(required) != len(inputs):
        raise Refused(
            f"unable to load model '{name}', configuration expects {len(required)} inputs, "
            f"model provides {len(inputs)}: {', '.join(sorted(inputs))}"
        )
    for declared in config["input"]:
        _check_tensor(name, "input", declared, {**inputs, **optional}, batching=batching)
    for declared in config["output"]:
        _check_tensor(name, "output", declared, outputs, batching=batching)


def _refuse_unsupported(model: str, config: dict[str, Any]) -> None:
    asked = {
        "sequence batching": "sequence_batching" in config,
        "batch_input": config.get("batch_input"),
        "batch_output": config.get("batch_output"),
        "allow_ragged_batch": any(tensor.get("allow_ragged_batch") for tensor in config["input"]),
    }
    for feature in (feature for feature, is_asked in asked.items() if is_asked):
        raise Refused(f"unable to load model '{model}', {feature} is not supported by the embedded Triton")


def _check_tensor(
    model: str, kind: str, declared: dict[str, Any], tensors: dict[str, Tensor], *, batching: bool
) -> None:
    tensor = tensors.get(declared["name"])
    if tensor is None:
        allowed = ", ".join(sorted(tensors))
        raise Refused(f"unexpected inference {kind} '{declared['name']}', allowed {kind}s are: {allowed}")
    if declared["data_type"] != tensor.datatype:
        raise Refused(
            f"unable to load model '{model}', configuration expects datatype {declared['data_type']} "
            f"for {kind} '{tensor.name}', model provides {tensor.datatype}"
        )
    if declared.get("optional") and batching:
        raise Refused(
            f"unable to load model '{model}', optional input '{tensor.name}' is not supported for models that "
            "support batching"
        )
    dims = declared["reshape"]["shape"] if "reshape" in declared else declared["dims"]
    if tensor.shape:
        _check_shape(model, tensor, [int(dim) for dim in dims], batching=batching, exact=kind == "output")
    elif any(int(dim) != 1 for dim in dims):
        raise Refused(f"unable to load model '{model}', scalar tensor '{tensor.name}' may only have dims of 1")


def _check_shape(model: str, tensor: Tensor, dims: list[int], *, batching: bool, exact: bool) -> None:
    """An input's dimension that varies in the graph may be fixed by the configuration, an output's may not."""
    where = f"model '{model}', tensor '{tensor.name}'"
    if batching and tensor.shape[0] != -1:
        raise Refused(
            f"{where}: for the model to support batching the shape should have at least 1 dimension and the first "
            f"dimension must be -1; but shape expected by the model is {_shown(tensor.shape)}"
        )
    shape = [-1, *dims] if batching else dims
    fits = len(shape) == len(tensor.shape) and all(
        ours == theirs or (theirs == -1 and not exact) for ours, theirs in zip(shape, tensor.shape, strict=True)
    )
    if not fits:
        batch = ", the first of them for the batch, as max_batch_size > 0" if batching else ""
        raise Refused(
            f"{where}: the model expects {len(tensor.shape)} dimensions (shape {_shown(tensor.shape)}) but the model "
            f"configuration specifies {len(shape)} dimensions (shape {_shown(shape)}{batch})"
        )


def _shown(shape: Iterable[int]) -> str:
    return f"[{','.join(map(str, shape))}]"
