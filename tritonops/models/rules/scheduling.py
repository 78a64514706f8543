"""How a config has requests put together: dynamic batching, priorities, sequences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tritonops.models.configs.pbtxt import ModelConfig, type_name
from tritonops.models.rules.finding import Problem


def scheduling_problems(config: ModelConfig) -> Iterator[Problem]:
    """Find what Triton's core refuses about batching and sequences."""
    yield from _dynamic_batching(config)
    yield from _sequence_batching(config)


def _dynamic_batching(config: ModelConfig) -> Iterator[Problem]:
    batching = config.dynamic_batching
    yield from _preferred(batching.preferred_batch_size, config.max_batch_size)
    levels = batching.priority_levels
    if levels and not 1 <= batching.default_priority_level <= levels:
        yield _priority(f"`default_priority_level` is {batching.default_priority_level} of {levels} levels", levels)
    for level in batching.priority_queue_policy:
        if levels and not 1 <= level <= levels:
            yield _priority(f"a queue policy is for level {level} of {levels} levels", levels)
    policies = [batching.default_queue_policy, *batching.priority_queue_policy.values()]
    delays = any(policy.default_timeout_microseconds and policy.timeout_action == policy.DELAY for policy in policies)
    if batching.preserve_ordering and (levels > 1 or delays):
        yield Problem(
            "ordered-priorities",
            "`preserve_ordering` with several priority levels, or a timeout that delays requests",
            "Triton refuses it: an order cannot be kept with those",
            "take one of the two out",
        )


def _priority(what: str, levels: int) -> Problem:
    return Problem(
        "priority-levels",
        what,
        f"Triton refuses it: it 'must be in range [1, {levels}]'",
        f"write a level from 1 to {levels}",
    )


def _preferred(sizes: Any, largest: int) -> Iterator[Problem]:
    if bad := [size for size in sizes if not 1 <= size <= largest]:
        yield Problem(
            "preferred-batch",
            f"`preferred_batch_size` contains {bad[0]}, and `max_batch_size` is {largest}",
            "Triton refuses it: it 'must be positive' and '<= max batch size'",
            f"write sizes from 1 to {largest}, or leave `preferred_batch_size` out",
        )


def _sequence_batching(config: ModelConfig) -> Iterator[Problem]:
    batching = config.sequence_batching
    yield from _preferred(batching.oldest.preferred_batch_size, config.max_batch_size)
    if not 0 <= batching.direct.minimum_slot_utilization <= 1:
        yield Problem(
            "slot-utilization",
            f"`minimum_slot_utilization` is {batching.direct.minimum_slot_utilization}",
            "Triton refuses it: it 'must be in range (0.0, 1.0]'",
            "write a share, as in 0.5",
        )
    for tensor in batching.control_input:
        for control in tensor.control:
            yield from _control(tensor.name, control)


_ID_TYPES = ("TYPE_UINT32", "TYPE_UINT64", "TYPE_INT32", "TYPE_INT64", "TYPE_STRING")


def _control(name: str, control: Any) -> Iterator[Problem]:
    is_id = control.kind == control.CONTROL_SEQUENCE_CORRID
    values = (control.int32_false_true, control.fp32_false_true, control.bool_false_true)
    kind = control.Kind.Name(control.kind)
    if is_id and type_name(control) not in _ID_TYPES:
        yield Problem(
            "sequence-control",
            f"{kind} {name!r} is not of a whole number's type, nor a string",
            "Triton refuses it: 'unexpected data type for control'",
            "write data_type: TYPE_UINT64, or what the model takes",
        )
    if not is_id and not any(values):
        yield Problem(
            "sequence-control",
            f"{kind} {name!r} does not say which values mean false and true",
            "Triton refuses it: it 'must specify int32_false_true, fp32_false_true or bool_false_true'",
            "write int32_false_true: [ 0, 1 ]",
        )
