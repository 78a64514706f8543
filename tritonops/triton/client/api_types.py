"""The results of Triton's API as plain values."""

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
    """A declared input or output: a KServe datatype ("FP32") and a shape, -1 for a dynamic dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelMetadata:
    """The inputs and outputs of a served model; shapes include the batch dimension."""

    name: str
    versions: tuple[int, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class ModelStatistics:
    """Inference statistics of one version since it was loaded; times are averages per inference, in milliseconds."""

    name: str
    version: int
    inferences: int
    executions: int
    failures: int
    queue_ms: float | None
    compute_ms: float | None
    last_inference: str | None
    """ISO 8601 in UTC."""
