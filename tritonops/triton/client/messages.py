"""Conversions between numpy arrays, Triton's messages and plain values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tritonops.errors import TritonError
from tritonops.triton.client.api_types import ModelStatistics, TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


def numpy_dtype(datatype: str) -> Any:
    """Give the numpy type of a KServe datatype. Raises TritonError if there is none."""
    from tritonclient.utils import triton_to_np_dtype

    dtype = triton_to_np_dtype(datatype)
    if dtype is None:
        raise TritonError(f"numpy has no type for Triton's {datatype}")
    return dtype


def infer_input(name: str, array: NDArray[Any]) -> Any:
    """Make the input of a request from an array."""
    from tritonclient.grpc import InferInput
    from tritonclient.utils import np_to_triton_dtype

    tensor = InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
    return tensor.set_data_from_numpy(array)


def requested_outputs(classes: Mapping[str, int] | None) -> list[Any] | None:
    """Make the requested outputs, some with their largest values only; None requests all outputs."""
    from tritonclient.grpc import InferRequestedOutput

    return [InferRequestedOutput(name, class_count=count) for name, count in classes.items()] if classes else None


def tensor_specs(tensors: Any) -> tuple[TensorSpec, ...]:
    """Read the tensors of a metadata message."""
    return tuple(TensorSpec(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in tensors)


def model_statistics(row: Any) -> ModelStatistics:
    """Read one row of a statistics message."""
    stats = row.inference_stats
    compute = [stats.compute_input.ns, stats.compute_infer.ns, stats.compute_output.ns]
    when = datetime.fromtimestamp(row.last_inference / 1000, UTC) if row.last_inference else None
    return ModelStatistics(
        name=row.name,
        version=int(row.version),
        inferences=row.inference_count,
        executions=row.execution_count,
        failures=stats.fail.count,
        queue_ms=_average_ms(stats.queue.ns, stats.queue.count),
        compute_ms=_average_ms(sum(compute), stats.compute_infer.count),
        last_inference=when.isoformat(timespec="seconds") if when else None,
    )


def _average_ms(nanoseconds: int, count: int) -> float | None:
    return round(nanoseconds / count / 1e6, 3) if count else None


def version_text(version: int | None) -> str:
    """Format a version as Triton takes it; empty for the one that Triton chooses."""
    return "" if version is None else str(version)
