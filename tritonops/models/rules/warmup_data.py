"""The files of warm-up data: raw tensors, and strings behind their lengths."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tritonops.errors import UnreadableFileError
from tritonops.files import read_bytes
from tritonops.models.configs.pbtxt import type_name
from tritonops.models.rules.finding import Problem

MAX_STRINGS = 16 << 20
_SIZES = {
    **dict.fromkeys(("TYPE_BOOL", "TYPE_UINT8", "TYPE_INT8"), 1),
    **dict.fromkeys(("TYPE_UINT16", "TYPE_INT16", "TYPE_FP16", "TYPE_BF16"), 2),
    **dict.fromkeys(("TYPE_UINT32", "TYPE_INT32", "TYPE_FP32"), 4),
    **dict.fromkeys(("TYPE_UINT64", "TYPE_INT64", "TYPE_FP64"), 8),
}
_FAILS = "Triton does not load the model"


def warmup_data_problems(data: Any, path: Path) -> Iterator[Problem]:
    """Compare a file with the type and the shape that it is declared to have; a batch repeats its one element."""
    if any(dim < 1 for dim in data.dims):
        return
    datatype, count = type_name(data), math.prod(data.dims)
    if datatype == "TYPE_STRING":
        yield from _strings(path, count)
    elif datatype in _SIZES:
        yield from _numbers(path, count * _SIZES[datatype], f"{datatype} {list(data.dims)}")


def _numbers(path: Path, expected: int, tensor: str) -> Iterator[Problem]:
    size = path.stat().st_size
    what = f"{path} has {size} bytes, and {tensor} takes {expected}"
    if size < expected:
        why = f"{_FAILS}: 'warmup setting expects {expected} bytes, but the data provided … has {size} bytes'"
        yield Problem("warmup-data", what, why, "write the tensor's bytes, as numpy's tofile() does")
    elif size > expected:
        yield Problem("warmup-data", what, f"Triton takes the first {expected}", "write one element's bytes", "warning")


def _strings(path: Path, expected: int) -> Iterator[Problem]:
    try:
        data = read_bytes(path, MAX_STRINGS)
    except UnreadableFileError:
        return
    found = _count(data)
    if found == expected or ends_inside_a_string(data):
        return  # the latter is a hazard
    if found is not None:
        what = f"{path} has {found} strings, and the shape takes {expected}"
    elif _counts_characters(data):
        what = f"{path} gives lengths in characters, and not in bytes"
    else:
        what = f"{path} does not contain strings behind their lengths"
    why = f"{_FAILS}: 'unexpected number of string elements', or 'incomplete string'"
    yield Problem("warmup-data", what, why, "write each string behind its length in bytes, 4 bytes little-endian")


def ends_inside_a_string(data: bytes) -> bool:
    """Whether a length says more than there is: Triton 2.51 crashes over that once in a few times."""
    position = 0
    while position + 4 <= len(data):
        position += 4 + struct.unpack_from("<I", data, position)[0]
    return position > len(data)


def _count(data: bytes) -> int | None:
    """Count the strings; None where their lengths do not add up."""
    position = count = 0
    while position < len(data):
        if position + 4 > len(data):
            return None
        position += 4 + struct.unpack_from("<I", data, position)[0]
        count += 1
    return count if position == len(data) else None


def _counts_characters(data: bytes) -> bool:
    position = 0
    while position + 4 <= len(data):
        characters = struct.unpack_from("<I", data, position)[0]
        text = data[position + 4 : position + 4 + 4 * characters].decode(errors="ignore")
        position += 4 + len(text[:characters].encode())
    return position == len(data)
