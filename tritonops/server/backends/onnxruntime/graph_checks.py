"""Check a model's configuration against its graph, as NVIDIA's onnxruntime backend would.

Copied next to model.py, with nothing of tritonops to import.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

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


class RefusedError(Exception):
    """The configuration does not fit the graph, or needs a feature that this backend lacks."""


@dataclass(frozen=True)
class SessionTensor:
    """An input or output of the graph; a dynamic dimension is -1."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def read_tensors(nodes: Iterable[Any]) -> dict[str, SessionTensor]:
    """Read the inputs or outputs of a session. Raises RefusedError for a type that is not a tensor."""
    found = {}
    for node in nodes:
        if node.type not in _TYPES:
            raise RefusedError(f"unsupported ONNX type '{node.type}' for '{node.name}', expected a tensor")
        shape = tuple(dim if isinstance(dim, int) else -1 for dim in node.shape)
        found[node.name] = SessionTensor(node.name, _TYPES[node.type], shape)
    return found


def check(
    config: dict[str, Any],
    inputs: dict[str, SessionTensor],
    outputs: dict[str, SessionTensor],
    optional: dict[str, SessionTensor],
) -> None:
    """Raise RefusedError for a configuration that does not fit the graph, in the words of NVIDIA's backend."""
    name, batching = config["name"], config["max_batch_size"] > 0
    _refuse_unsupported(name, config)
    required = [tensor for tensor in config["input"] if not tensor.get("optional")]
    if len(required) != len(inputs):
        raise RefusedError(
            f"unable to load model '{name}', configuration expects {len(required)} inputs, "
            f"model provides {len(inputs)}: {', '.join(sorted(inputs))}"
        )
    for declared in config["input"]:
        _check_tensor(name, "input", declared, {**inputs, **optional}, batching=batching)
    for declared in config["output"]:
        _check_tensor(name, "output", declared, outputs, batching=batching)


def _refuse_unsupported(model: str, config: dict[str, Any]) -> None:
    requested = {
        "sequence batching": "sequence_batching" in config,
        "batch_input": config.get("batch_input"),
        "batch_output": config.get("batch_output"),
        "allow_ragged_batch": any(tensor.get("allow_ragged_batch") for tensor in config["input"]),
        "decoupled": config.get("model_transaction_policy", {}).get("decoupled"),
    }
    for feature in (feature for feature, is_requested in requested.items() if is_requested):
        raise RefusedError(f"unable to load model '{model}', {feature} is not supported by the embedded Triton")


def _check_tensor(
    model: str, kind: str, declared: dict[str, Any], tensors: dict[str, SessionTensor], *, batching: bool
) -> None:
    tensor = tensors.get(declared["name"])
    if tensor is None:
        allowed = ", ".join(sorted(tensors))
        raise RefusedError(f"unexpected inference {kind} '{declared['name']}', allowed {kind}s are: {allowed}")
    if declared["data_type"] != tensor.datatype:
        raise RefusedError(
            f"unable to load model '{model}', configuration expects datatype {declared['data_type']} "
            f"for {kind} '{tensor.name}', model provides {tensor.datatype}"
        )
    if declared.get("optional") and batching:
        raise RefusedError(
            f"unable to load model '{model}', optional input '{tensor.name}' is not supported for models that "
            "support batching"
        )
    dims = declared["reshape"]["shape"] if "reshape" in declared else declared["dims"]
    if tensor.shape:
        _check_shape(model, tensor, [int(dim) for dim in dims], batching=batching, exact=kind == "output")
    elif any(int(dim) != 1 for dim in dims):
        raise RefusedError(f"unable to load model '{model}', scalar tensor '{tensor.name}' may only have dims of 1")


def _check_shape(model: str, tensor: SessionTensor, dims: list[int], *, batching: bool, exact: bool) -> None:
    """The configuration may fix a dynamic dimension of an input, but not of an output."""
    where = f"model '{model}', tensor '{tensor.name}'"
    if batching and tensor.shape[0] != -1:
        raise RefusedError(
            f"{where}: for the model to support batching the shape should have at least 1 dimension and the first "
            f"dimension must be -1; but shape expected by the model is {format_shape(tensor.shape)}"
        )
    shape = [-1, *dims] if batching else dims
    fits = len(shape) == len(tensor.shape) and all(
        configured == size or (size == -1 and not exact) for configured, size in zip(shape, tensor.shape, strict=True)
    )
    if not fits:
        batch = ", the first of them for the batch, as max_batch_size > 0" if batching else ""
        raise RefusedError(
            f"{where}: the model expects {len(tensor.shape)} dimensions (shape {format_shape(tensor.shape)}) but the "
            f"model configuration specifies {len(shape)} dimensions (shape {format_shape(shape)}{batch})"
        )


def format_shape(shape: Iterable[int]) -> str:
    """Format a shape as NVIDIA's backend does."""
    return f"[{','.join(map(str, shape))}]"
