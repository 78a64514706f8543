"""The outputs of an inference, with the datatype and the shape of the response itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tritonops.errors import TritonError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TopClass:
    """One of the largest values of an output, with its index and its label, if the config names labels."""

    value: float
    index: int
    label: str | None


@dataclass(frozen=True)
class OutputTensor:
    """One output of a response, as a numpy array: BYTES as objects, BF16 as ml_dtypes has it."""

    name: str
    datatype: str
    array: NDArray[Any]
    top: tuple[tuple[TopClass, ...], ...] = ()
    """The requested largest values of each element of the batch; `array` has Triton's text then."""

    def as_json(self) -> dict[str, Any]:
        """Convert to JSON values: bytes that are not UTF-8 are escaped, NaN is "NaN", as in protobuf's JSON."""
        head = {"name": self.name, "datatype": self.datatype, "shape": list(self.array.shape)}
        if self.top:
            return {**head, "top": [[vars(found) for found in row] for row in self.top]}
        array = self.array.astype("float32") if self.datatype == "BF16" else self.array
        return {**head, "data": _plain(array.tolist())}


@dataclass(frozen=True)
class InferenceResult:
    """Every response to one request."""

    responses: tuple[tuple[OutputTensor, ...], ...]
    is_decoupled: bool = False
    """Whether the model may send any number of responses."""
    is_complete: bool = True
    """False if more responses were left than were read."""
    undeclared: tuple[str, ...] = ()
    """Descriptions of outputs whose type or shape differs from the declared one."""


def read_response(response: Any, classes: Mapping[str, int] | None = None) -> tuple[OutputTensor, ...]:
    """Read a ModelInferResponse; `classes` has the number of largest values that were requested of an output.

    Raises TritonError for an output whose bytes do not fit its type and shape.
    """
    contents, counts = iter(response.raw_output_contents), classes or {}
    return tuple(
        _output(output, next(contents, None), top=bool(counts.get(output.name))) for output in response.outputs
    )


def _output(output: Any, content: bytes | None, *, top: bool) -> OutputTensor:
    shape = tuple(output.shape)
    flat = None if content is None else _values(output.datatype, content)
    if flat is None or len(flat) != math.prod(shape):
        raise TritonError(
            f"output {output.name!r} came as {output.datatype} {list(shape)}, which its data does not fit: "
            f"{'none' if content is None else f'{len(content)} bytes'}"
        )
    array = flat.reshape(shape)
    is_top = top and output.datatype == "BYTES"
    return OutputTensor(output.name, output.datatype, array, tuple(_top(array)) if is_top else ())


def _values(datatype: str, content: bytes) -> NDArray[Any] | None:
    """Read the bytes of a tensor; None if they are not whole values."""
    import numpy as np
    from tritonclient.utils import deserialize_bytes_tensor, triton_to_np_dtype

    if datatype == "BYTES":
        values: NDArray[Any] = deserialize_bytes_tensor(content)
        return values
    if datatype == "BF16":
        import ml_dtypes

        dtype = np.dtype(ml_dtypes.bfloat16)
    else:
        dtype = np.dtype(triton_to_np_dtype(datatype))
    return None if len(content) % dtype.itemsize else np.frombuffer(content, dtype)


def _top(array: NDArray[Any]) -> Iterator[tuple[TopClass, ...]]:
    """Read Triton's classification extension: "0.960000:7:seven", the label may be missing."""
    if not array.size:
        yield ()
        return
    for row in array.reshape(-1, array.shape[-1]).tolist() if array.ndim else [[array.item()]]:
        parts = [text.decode(errors="replace").split(":", 2) for text in row]
        yield tuple(TopClass(float(part[0]), int(part[1]), part[2] if part[2:] else None) for part in parts)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
