"""Inputs that are made up: zeros, of the declared shapes or of the sizes that --shape gives."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tritonops.display_text import one_line
from tritonops.errors import InputError, listed, near_misses
from tritonops.triton.client.api_types import ModelMetadata, TensorSpec
from tritonops.triton.client.messages import numpy_dtype
from tritonops.triton.inputs.input_files import describe

if TYPE_CHECKING:
    from numpy.typing import NDArray

Shapes = Mapping[str, Sequence[int]]
_MOST_BYTES = 2**31 - 1
"""The largest message of gRPC."""


def parse_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Read "x=1,512": an input's name and its sizes. Raises InputError."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        numbers = [size.strip() for size in sizes.split(",")]
        if not name or not all(size.isascii() and size.isdigit() and len(size) < 19 for size in numbers):
            hint = None if sizes else "A scalar needs no --shape: its sizes are declared, and all 1."
            raise InputError(f"--shape: expected NAME=SIZES, such as x=1,512, got {text!r}", hint=hint)
        if name in shapes:
            raise InputError(f"--shape: {name!r} was given twice")
        shapes[name] = tuple(map(int, numbers))
    return shapes


def zeros(metadata: ModelMetadata, shapes: Shapes | None = None) -> dict[str, NDArray[Any]]:
    """Make inputs of zeros, false and empty strings; dynamic dimensions are 1 unless `shapes` has the input.

    Raises InputError for a shape that the input cannot have.
    """
    import numpy as np

    _require_fitting(metadata, shapes or {})
    sizes = {spec.name: (shapes or {}).get(spec.name, [abs(size) for size in spec.shape]) for spec in metadata.inputs}
    _require_sendable(metadata, sizes)
    return {spec.name: np.full(tuple(sizes[spec.name]), *_zero(spec.datatype)) for spec in metadata.inputs}


def describe_zeros(metadata: ModelMetadata, tensors: Mapping[str, NDArray[Any]]) -> str:
    """Describe what was made up, in one line: "zeros for x FP32 [1, 3] (declared [-1, 3])"."""
    what = "zeros and empty strings" if any(spec.datatype == "BYTES" for spec in metadata.inputs) else "zeros"
    return one_line(f"{what} for {listed([_describe(spec, tensors[spec.name].shape) for spec in metadata.inputs])}")


def how_to_give_sizes(metadata: ModelMetadata, shapes: Shapes | None = None) -> str:
    """Name the option for the sizes that were made up, and the one for all values."""
    values = "--input FILE gives values"
    made_up = [spec for spec in metadata.inputs if -1 in spec.shape and spec.name not in (shapes or {})]
    if not made_up:
        return f"{values}."
    sizes = ",".join("N" if size == -1 else str(size) for size in made_up[0].shape)
    return f"--shape {shlex.quote(f'{made_up[0].name}={sizes}')} gives sizes, which were 1; {values}."


def _zero(datatype: str) -> tuple[Any, Any]:
    return (b"" if datatype == "BYTES" else 0), numpy_dtype(datatype)


def _describe(spec: TensorSpec, shape: tuple[int, ...]) -> str:
    declared = f" (declared {list(spec.shape)})" if shape != spec.shape else ""
    return f"{spec.name} {spec.datatype} {list(shape)}{declared}"


def _require_fitting(metadata: ModelMetadata, shapes: Shapes) -> None:
    specs = {spec.name: spec for spec in metadata.inputs}
    for name, shape in shapes.items():
        if name not in specs:
            hint = near_misses(name, specs, "inputs") or None
            raise InputError(f"--shape: {metadata.name} has no input {name!r}", hint=hint)
        given, takes = f"--shape {name}={','.join(map(str, shape))}", f"{metadata.name} takes {describe(specs[name])}"
        if len(shape) != len(specs[name].shape):
            raise InputError(f"{given}: {takes}, {len(specs[name].shape)} sizes")
        if any(declared not in (-1, size) for size, declared in zip(shape, specs[name].shape, strict=True)):
            sizes = ", ".join("any" if size == -1 else str(size) for size in specs[name].shape)
            raise InputError(f"{given}: {takes}, whose sizes are [{sizes}]")


def _require_sendable(metadata: ModelMetadata, sizes: Shapes) -> None:
    import numpy as np

    items = {"BYTES": 4}  # the length of an empty string
    total = sum(
        math.prod(sizes[spec.name]) * (items.get(spec.datatype) or np.dtype(numpy_dtype(spec.datatype)).itemsize)
        for spec in metadata.inputs
    )
    if total > _MOST_BYTES:
        shapes = listed([f"{name} {list(shape)}" for name, shape in sizes.items()])
        raise InputError(f"zeros for {shapes} have {total:,} bytes, and a request may have {_MOST_BYTES:,}")
