"""How a config has requests put together: dynamic batching and priorities; sequences have a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.rules.finding import Problem
from tritonops.models.rules.sequences.sequence import sequence_problems


def scheduling_problems(config: ModelConfig) -> Iterator[Problem]:
    """Find what Triton's core refuses about batching and sequences."""
    yield from _dynamic_batching(config)
    if config.HasField("sequence_batching"):
        yield from _preferred(config.sequence_batching.oldest.preferred_batch_size, config.max_batch_size)
        yield from sequence_problems(config)


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
