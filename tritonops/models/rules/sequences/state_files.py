"""The files that states of sequence batching begin with.

Triton reads them as GenerateInitialStateData of the core's sequence_batch_scheduler.cc says (r26.04).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from tritonops.models.configs.pbtxt import type_name
from tritonops.models.rules.files import absent
from tritonops.models.rules.finding import Problem, Subject

_FOLDER = "initial_state"
_SIZES = {
    **dict.fromkeys(("TYPE_BOOL", "TYPE_UINT8", "TYPE_INT8"), 1),
    **dict.fromkeys(("TYPE_UINT16", "TYPE_INT16", "TYPE_FP16", "TYPE_BF16"), 2),
    **dict.fromkeys(("TYPE_UINT32", "TYPE_INT32", "TYPE_FP32"), 4),
    **dict.fromkeys(("TYPE_UINT64", "TYPE_INT64", "TYPE_FP64"), 8),
}


def state_file_problems(subject: Subject) -> Iterator[Problem]:
    """Find files of initial values that are missing or too short."""
    if subject.home is None:
        return
    for state in subject.config.sequence_batching.state:
        for initial in state.initial_state:
            path = subject.home / _FOLDER / initial.data_file
            if initial.WhichOneof("state_data") == "data_file" and (what := _file_mistake(path, initial)):
                yield Problem(
                    "sequence-state-file",
                    f"the state of input {state.input_name!r}: {what}",
                    "Triton does not load the model: 'failed to open text file', or 'setting expects … bytes'",
                    f"put the values there, as bytes, or write zero_data: true for {initial.name!r}",
                )


def _file_mistake(path: Path, initial: Any) -> str | None:
    if not path.is_file():
        return absent(path)
    expected = _SIZES.get(type_name(initial), 0) * prod(initial.dims)
    size = path.stat().st_size
    return f"{path} has {size} bytes of {expected}" if size < expected else None
