"""Inputs from a .json or .npz file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tritonops import files
from tritonops.display_text import clip
from tritonops.documents import abbreviate, read_json
from tritonops.errors import InputError
from tritonops.triton.client.api_types import ModelMetadata, TensorSpec
from tritonops.triton.inputs.arrays import as_array, scalar_as_declared

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNPACKED = 48 << 20
"""Bytes that a compressed .npz file may unpack to beyond four times its own size."""


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
    return {name: _input(value, specs[name], where, hint) for name, value in values.items()}


def _input(value: object, spec: TensorSpec, where: str, hint: str) -> NDArray[Any]:
    try:
        array = scalar_as_declared(as_array(value, spec.datatype), spec.shape)
        if not array.ndim and spec.shape:
            raise ValueError(f"a single value, where {list(spec.shape)} is declared")
    except (ValueError, TypeError, OverflowError, RecursionError) as exc:
        raise InputError(f"{where}: {spec.name}: {clip(str(exc), 300)}", hint=hint) from exc
    return array


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
