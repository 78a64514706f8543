"""Run an inference with inputs from a file, or with zeros of the declared shape."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tritonops import files
from tritonops.display_text import clip
from tritonops.documents import abbreviate, read_json
from tritonops.errors import DecoupledModelError, InputError, TritonError
from tritonops.triton.client.api_types import ModelMetadata, TensorSpec
from tritonops.triton.client.client import TritonClient
from tritonops.triton.client.messages import numpy_dtype
from tritonops.triton.client.response import InferenceResult, OutputTensor
from tritonops.triton.list import naming_unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

INFER_TIMEOUT = 60.0
MAX_RESPONSES = 100
_UNPACKED = 48 << 20
"""Bytes that a compressed .npz file may unpack to beyond four times its own size."""


def infer(
    client: TritonClient,
    name: str,
    *,
    version: int | None = None,
    inputs: Path | None = None,
    timeout: float = INFER_TIMEOUT,
    max_responses: int = MAX_RESPONSES,
    top: int | None = None,
) -> InferenceResult:
    """Run one inference with the tensors of a .json or .npz file, or with zeros.

    A decoupled model is asked over the stream, for at most `max_responses`. With `top`, numeric outputs give their
    largest values only. Raises TritonError for a missing or an undeclared output.
    """
    with naming_unknown(client, name):
        metadata = client.metadata(name, version=version)
    tensors = read_inputs(inputs, metadata) if inputs else zeros(metadata)
    return infer_tensors(
        client, metadata, tensors, version=version, timeout=timeout, max_responses=max_responses, top=top
    )


def infer_tensors(
    client: TritonClient,
    metadata: ModelMetadata,
    tensors: Mapping[str, NDArray[Any]],
    *,
    version: int | None = None,
    timeout: float = INFER_TIMEOUT,
    max_responses: int = MAX_RESPONSES,
    top: int | None = None,
) -> InferenceResult:
    """Run one inference with arrays."""
    classes = {spec.name: 0 if spec.datatype == "BYTES" else top for spec in metadata.outputs} if top else {}
    try:
        response = client.infer_outputs(metadata.name, tensors, version=version, timeout=timeout, classes=classes)
        inference = InferenceResult((response,))
    except DecoupledModelError:
        inference = client.infer_stream(
            metadata.name, tensors, version=version, timeout=timeout, max_responses=max_responses, classes=classes
        )
    responses = tuple(_in_order(metadata, response) for response in inference.responses)
    undeclared = dict.fromkeys(what for response in responses for what in _undeclared(metadata, response))
    return replace(inference, responses=responses, undeclared=tuple(undeclared))


def _in_order(metadata: ModelMetadata, response: tuple[OutputTensor, ...]) -> tuple[OutputTensor, ...]:
    declared, came = [spec.name for spec in metadata.outputs], {output.name: output for output in response}
    given = ", ".join(came) or "nothing"
    if missing := [name for name in declared if name not in came]:
        raise TritonError(
            f"{metadata.name} answered without output {missing[0]!r}, which it declares; its outputs: {given}"
        )
    if extra := [name for name in came if name not in declared]:
        raise TritonError(f"{metadata.name} answered with output {extra[0]!r}, which it does not declare")
    return tuple(came[name] for name in declared)


def _undeclared(metadata: ModelMetadata, response: tuple[OutputTensor, ...]) -> list[str]:
    """Describe the outputs whose type or shape differs from the declared one."""
    specs = {spec.name: spec for spec in metadata.outputs}
    return [
        f"{output.name} is {output.datatype} {list(output.array.shape)}, and {metadata.name} declares {spec.datatype} "
        f"{list(spec.shape)}"
        for output in response
        if (spec := specs.get(output.name)) and not output.top and not _is_as_declared(output, spec)
    ]


def _is_as_declared(output: OutputTensor, spec: TensorSpec) -> bool:
    shape = output.array.shape
    return (
        output.datatype == spec.datatype
        and len(shape) == len(spec.shape)
        and all(declared in (-1, size) for size, declared in zip(shape, spec.shape, strict=True))
    )


def zeros(metadata: ModelMetadata) -> dict[str, NDArray[Any]]:
    """Make inputs of zeros, false and empty strings; dynamic dimensions are 1."""
    import numpy as np

    return {spec.name: np.full([abs(size) for size in spec.shape], *_zero(spec.datatype)) for spec in metadata.inputs}


def _zero(datatype: str) -> tuple[Any, Any]:
    return (b"" if datatype == "BYTES" else 0), numpy_dtype(datatype)


def read_inputs(path: Path, metadata: ModelMetadata) -> dict[str, NDArray[Any]]:
    """Read input names and values from .json (nested lists) or .npz. Raises InputError."""
    try:
        values = read_input_file(path)
    except InputError as exc:
        raise InputError(f"cannot read the inputs of {metadata.name} from {exc}", hint=exc.hint) from exc
    return as_tensors(values, metadata, where=str(path))


def read_input_file(path: Path) -> Any:
    """Read a file of inputs for any model. Raises InputError."""
    return _read_npz(path) if path.suffix == ".npz" else read_json(path, pipe_timeout=files.PIPE_TIMEOUT)


def as_tensors(values: object, metadata: ModelMetadata, *, where: str) -> dict[str, NDArray[Any]]:
    """Convert nested lists or arrays by input name into arrays of the declared types."""
    specs = {spec.name: spec for spec in metadata.inputs}
    hint = f"{metadata.name} takes: {', '.join(map(describe, metadata.inputs))}."
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected an object of input names and their values", hint=hint)
    if unknown := [name for name in values if name not in specs]:
        raise InputError(f"{where}: {metadata.name} has no input {abbreviate(unknown[0])}", hint=hint)
    return {name: _input(name, value, specs[name].datatype, where, hint) for name, value in values.items()}


def _input(name: str, value: object, datatype: str, where: str, hint: str) -> NDArray[Any]:
    try:
        return as_array(value, datatype)
    except (ValueError, TypeError, OverflowError, RecursionError) as exc:
        raise InputError(f"{where}: {name}: {clip(str(exc), 300)}", hint=hint) from exc


def as_array(value: object, datatype: str) -> NDArray[Any]:
    """Convert nested lists, or an array of another type, to the numpy type of `datatype`.

    Raises ValueError for a value that does not fit: 300 in UINT8, 1.5 in INT64.
    """
    import numpy as np

    if datatype == "BYTES":
        return _as_bytes(np.asarray(value, dtype=object))
    array, dtype = value if isinstance(value, np.ndarray) else _as_numbers(value), np.dtype(numpy_dtype(datatype))
    if array.dtype.kind == "V" and array.dtype.itemsize == dtype.itemsize:
        return array.view(dtype)  # numpy's files keep types that numpy does not know, such as bfloat16, as raw bytes
    with np.errstate(invalid="ignore", over="ignore"):
        result = array.astype(dtype)
    if dtype.kind in "iub" and not np.array_equal(result, array):
        raise ValueError(f"a value does not fit in {datatype}")
    if array.dtype.kind in "iuf" and dtype.kind not in "iub" and np.any(np.isinf(result) & ~np.isinf(array)):
        raise ValueError(f"a value is too large for {datatype}")
    return result


_NUMBER_NAMES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _as_numbers(value: object) -> NDArray[Any]:
    """Make an array of nested lists; numpy would store every item as wide as the longest string."""
    import numpy as np

    array = np.asarray(value, dtype=object)
    items = array.ravel().tolist()
    if any(isinstance(item, list) for item in items):
        raise ValueError("expected lists of equal length")
    if not {*map(type, items)} <= {int, float, bool}:
        items = [_number(item) for item in items]
    return np.asarray(items).reshape(array.shape)


def _number(item: Any) -> Any:
    import numpy as np

    if isinstance(item, int | float | np.generic):
        return item
    if isinstance(item, str) and item in _NUMBER_NAMES:
        return _NUMBER_NAMES[item]
    raise ValueError(f"expected a number, not {abbreviate(item)}")


def _as_bytes(array: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    items = array.ravel().tolist()
    if any(isinstance(item, list) for item in items):
        raise ValueError("expected lists of equal length")
    if any(item is None or isinstance(item, dict) for item in items):
        raise ValueError("expected strings")
    result = np.empty(len(items), dtype=object)
    result[:] = [item if isinstance(item, bytes) else str(item).encode() for item in items]
    return result.reshape(array.shape)


def _read_npz(path: Path) -> dict[str, Any]:
    import zipfile

    import numpy as np

    with files.open_regular(path) as file:
        limit = 4 * os.fstat(file.fileno()).st_size + _UNPACKED
        try:
            size = sum(entry.file_size for entry in zipfile.ZipFile(file).infolist())
            if size <= limit:
                file.seek(0)
                with np.load(file, allow_pickle=False) as arrays:
                    return {name: arrays[name] for name in arrays.files}
        except Exception as exc:  # zipfile, zlib and numpy raise a dozen kinds for damaged bytes
            raise InputError(f"{path}: not an .npz file: {clip(str(exc) or type(exc).__name__, 300)}") from exc
    raise InputError(
        f"{path}: its arrays take {size:,} bytes, far more than the file",
        hint="Write it with numpy.savez, which does not compress.",
    )


def describe(spec: TensorSpec) -> str:
    """Format a tensor: "images FP32 [-1, 3, 224, 224]"."""
    return f"{spec.name} {spec.datatype} {list(spec.shape)}"
