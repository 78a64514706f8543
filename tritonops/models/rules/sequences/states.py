"""The implicit states of sequence batching, by themselves.

The rules are those of GenerateInitialStateData in the core's sequence_batch_scheduler.cc, and of
SequenceStates::Initialize in sequence_state.cc, which each sequence begins with (r26.04).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tritonops.models.configs.pbtxt import ModelConfig, type_name
from tritonops.models.rules.sequences.mistake import Mistake


def state_mistakes(batching: Any) -> Iterator[Mistake]:
    """Find what the core refuses about the initial values of states."""
    begun = Counter(state.input_name for state in batching.state if len(state.initial_state) == 1)
    for name, count in begun.items():
        if count > 1:
            yield Mistake(f"{count} states have the input {name!r}", "'specified more than once'", "take one out")
    for state in batching.state:
        where = f"the state of input {state.input_name!r}"
        if len(state.initial_state) > 1:
            yield Mistake(
                f"{where} has {len(state.initial_state)} of `initial_state`",
                "it 'must contain exactly one or zero element'",
                "keep one of them",
            )
        for initial in state.initial_state:
            yield from _initial(where, state, initial)


def _initial(where: str, state: Any, initial: Any) -> Iterator[Mistake]:
    dims, expected = list(initial.dims), list(state.dims)
    if initial.data_type != state.data_type:
        what = f"{where} is {type_name(state)}, and begins as {type_name(initial)}"
        yield Mistake(what, "it 'does not match the state data type'", f"write data_type: {type_name(state)}")
    if not initial.name:
        yield Mistake(f"`initial_state` of {where} has no `name`", "'name' must be set", "give it one, of your choice")
    if len(dims) != len(expected):
        what = f"{where} has dims {expected}, and begins with {dims}"
        yield Mistake(what, "the number of dimensions 'doesn't match'", "write as many")
    elif any(dim == -1 for dim in dims):
        yield Mistake(f"{where} begins with dims {dims}", "it 'contains variable dimensions'", "write the sizes")
    elif any(theirs not in (-1, ours) for ours, theirs in zip(dims, expected, strict=True)):
        what = f"{where} has dims {expected}, and begins with {dims}"
        yield Mistake(what, "it 'doesn't match'", "write the sizes of the state; where that has -1, any will do")
    if initial.WhichOneof("state_data") is None:
        yield Mistake(f"`initial_state` of {where} has no data", "it has 'to have state_data set'", "zero_data: true")


def state_requests(config: ModelConfig) -> Iterator[Mistake]:
    """Find states that a model is served with, and with which every sequence fails."""
    is_on_gpu = all(group.kind in (group.KIND_GPU, group.KIND_AUTO) for group in config.instance_group)
    for state in config.sequence_batching.state:
        where = f"the state of input {state.input_name!r} has use_growable_memory"
        if state.use_growable_memory and not state.use_same_buffer_for_input_output:
            yield Mistake(
                f"{where} without use_same_buffer_for_input_output",
                "Triton serves the model, and every sequence fails: 'you must also enable' it",
                "write use_same_buffer_for_input_output: true",
            )
        elif state.use_growable_memory and not is_on_gpu:
            yield Mistake(
                f"{where}, and an instance group is not KIND_GPU",
                "Triton serves the model, and its sequences fail: it 'can only work with KIND_GPU'",
                "take it out, or write KIND_GPU",
            )
