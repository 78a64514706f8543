"""Ask a model: inputs from a file, or zeros of the declared shape; answers as arrays."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tritonops.documents import abbreviate, read_json
from tritonops import files
from tritonops.display_text import clip
from tritonops.errors import InputError
from tritonops.triton.client import ModelMetadata, TensorSpec, TritonClient, numpy_dtype
from tritonops.triton.control import naming_unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

INFER_TIMEOUT = 60.0
_UNPACKED = 48 << 20
"""Bytes that a compressed .npz file may unpack to beyond four times its own size."""


@dataclass(frozen=True)
class Output:
    """One output of a model, as a numpy array."""

    name: str
    datatype: str
    array: NDArray[Any]

    def as_json(self) -> dict[str, Any]:
        """Give what JSON can hold; bytes that are no UTF-8 are escaped, and NaN becomes "NaN", as in protobuf's JSON."""
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": list(self.array.shape),
            "data": _plain((self.array.astype("float32") if self.datatype == "BF16" else self.array).tolist()),
        }


def infer(
    client: TritonClient,
    name: str,
    *,
    version: int | None = None,
    inputs: Path | None = None,
    timeout: float = INFER_TIMEOUT,
) -> list[Output]:
    """Run one inference with the tensors of a .json or .npz file, or with zeros; outputs in the model's order."""
    with naming_unknown(client, name):
        metadata = client.metadata(name, version=version)
    tensors = read_inputs(inputs, metadata) if inputs else zeros(metadata)
    return infer_tensors(client, metadata, tensors, version=version, timeout=timeout)


def infer_tensors(
    client: TritonClient,
    metadata: ModelMetadata,
    tensors: Mapping[str, NDArray[Any]],
    *,
    version: int | None = None,
    timeout: float = INFER_TIMEOUT,
) -> list[Output]:
    """Run one inference with arrays at hand."""
    answers = client.infer(metadata.name, tensors, version=version, timeout=timeout)
    return [Output(spec.name, spec.datatype, answers[spec.name]) for spec in metadata.outputs if spec.name in answers]


def zeros(metadata: ModelMetadata) -> dict[str, NDArray[Any]]:
    """Make an input of the declared shape, 1 where that varies: zeros, false, and empty strings."""
    import numpy as np

    return {
        spec.name: np.full([abs(size) for size in spec.shape], *_zero(spec.datatype)) for spec in metadata.inputs
    }


def _zero(datatype: str) -> tuple[Any, Any]:
    return (b"" if datatype == "BYTES" else 0), numpy_dtype(datatype)


def read_inputs(path: Path, metadata: ModelMetadata) -> dict[str, NDArray[Any]]:
    """Read a file of input names and values: .json with nested lists, or .npz; an InputError says what is wrong."""
    try:
        values = _read_npz(path) if path.suffix == ".npz" else read_json(path, pipe_timeout=files.PIPE_TIMEOUT)
    except InputError as exc:
        raise InputError(f"cannot read the inputs of {metadata.name} from {exc}", hint=exc.hint) from exc
    return as_tensors(values, metadata, where=str(path))


def as_tensors(values: object, metadata: ModelMetadata, *, where: str) -> dict[str, NDArray[Any]]:
    """Turn a mapping of input names to nested lists or arrays into the arrays that the model declares."""
    specs = {spec.name: spec for spec in metadata.inputs}
    hint = f"{metadata.name} takes: {', '.join(map(describe, metadata.inputs))}."
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: want an object of input names and their values", hint=hint)
    if unknown := [name for name in values if name not in specs]:
        raise InputError(f"{where}: {metadata.name} has no input {abbreviate(unknown[0])}", hint=hint)
    return {name: _input(name, value, specs[name].datatype, where, hint) for name, value in values.items()}


def _input(name: str, value: object, datatype: str, where: str, hint: str) -> NDArray[Any]:
    try:
        return as_array(value, datatype)
    except (ValueError, TypeError, OverflowError, RecursionError) as exc:
        raise InputError(f"{where}: {name}: {clip(str(exc), 300)}", hint=hint) from exc


def as_array(value: object, datatype: str) -> NDArray[Any]:
    """Turn nested lists, or an array of another type, into an array that Triton takes as `datatype`.

    Raises ValueError where a value does not fit: 300 in UINT8, 1.5 in INT64.
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
    """Make an array of nested lists; numpy itself would give every item the room of the longest string."""
    import numpy as np

    array = np.asarray(value, dtype=object)
    items = array.ravel().tolist()
    if any(isinstance(item, list) for item in items):
        raise ValueError("lists of different lengths make no tensor")
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
        raise ValueError("lists of different lengths make no tensor")
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
    """Write a tensor as people read it: "images FP32 [-1, 3, 224, 224]"."""
    return f"{spec.name} {spec.datatype} {list(spec.shape)}"


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
