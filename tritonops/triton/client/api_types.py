"""What Triton's API answers, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class ModelStatus:
    """A row of Triton's repository index; a model that was never loaded has neither version, state nor reason."""

    name: str
    version: int | None
    state: str | None
    reason: str | None


@dataclass(frozen=True)
class TensorSpec:
    """An input or output as the server declares it: a KServe datatype ("FP32") and a shape, -1 where it varies."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelMetadata:
    """What a served model takes and gives; shapes include the batch dimension."""

    name: str
    versions: tuple[int, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class ModelStatistics:
    """What one served version has done since it was loaded; times are averages per inference, in milliseconds."""

    name: str
    version: int
    inferences: int
    executions: int
    failures: int
    queue_ms: float | None
    compute_ms: float | None
    last_inference: str | None
    """When, as ISO 8601 in UTC."""
