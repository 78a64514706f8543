"""Values of JSON and numpy files as arrays of Triton's types."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tritonops.documents import abbreviate
from tritonops.triton.client.messages import numpy_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray


def as_array(value: object, datatype: str) -> NDArray[Any]:
    """Convert nested lists, or an array of another type, to the numpy type of `datatype`.

    Raises ValueError for a value that does not fit: 300 in UINT8, 1.5 in INT64.
    """
    import numpy as np

    if datatype == "BYTES":
        return _as_bytes(np.asarray(value, dtype=object))
    array, dtype = value if isinstance(value, np.ndarray) else _as_numbers(value), np.dtype(numpy_dtype(datatype))
    if array.dtype.kind not in "biufV":
        raise ValueError(f"expected numbers, not {array.dtype}")
    if array.dtype.kind == "V" and array.dtype.itemsize == dtype.itemsize:
        return array.view(dtype)  # numpy's files keep types that numpy does not know, such as bfloat16, as raw bytes
    with np.errstate(invalid="ignore", over="ignore"):
        result = array.astype(dtype)
    if dtype.kind in "iub" and not np.array_equal(result, array):
        raise ValueError(f"a value does not fit in {datatype}")
    if array.dtype.kind in "iuf" and dtype.kind not in "iub" and np.any(np.isinf(result) & ~np.isinf(array)):
        raise ValueError(f"a value is too large for {datatype}")
    return result


def scalar_as_declared(array: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """Give a value without dimensions those of a declared scalar: [1], or [1, 1] where the first is the batch.

    Any other array is returned as it is.
    """
    is_scalar = all(size == 1 for size in (shape[1:] if len(shape) > 1 and shape[0] == -1 else shape))
    return array.reshape([1] * len(shape)) if not array.ndim and is_scalar else array


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
