"""Sequence batching in a config by itself: what Triton's core refuses.

The rules are those of ValidateModelConfig in model_config_utils.cc, of TritonModel::Create in backend_model.cc, and of
SequenceBatchScheduler::Create in sequence_batch_scheduler.cc (r24.10 and r26.04 alike).
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.rules.finding import Problem
from tritonops.models.rules.sequences.controls import control_mistakes
from tritonops.models.rules.sequences.states import state_mistakes, state_requests

BATCH_STRATEGY = "TRITON_BATCH_STRATEGY_PATH"
"""The parameter that names a batching library of the user's own."""


def sequence_problems(config: ModelConfig) -> Iterator[Problem]:
    """Find what is wrong with sequence batching; nothing in a config without it."""
    if not config.HasField("sequence_batching"):
        return
    batching = config.sequence_batching
    if not 0 <= batching.direct.minimum_slot_utilization <= 1:
        yield Problem(
            "slot-utilization",
            f"`minimum_slot_utilization` is {batching.direct.minimum_slot_utilization}",
            "Triton refuses it: it 'must be in range (0.0, 1.0]'",
            "write a share, as in 0.5",
        )
    if BATCH_STRATEGY in config.parameters:
        yield Problem(
            "batch-strategy",
            f"`sequence_batching` beside the parameter {BATCH_STRATEGY}",
            "Triton refuses it: the parameter 'cannot be specified with sequence batcher'",
            "take the parameter out",
        )
    for mistake in control_mistakes(batching):
        yield Problem("sequence-control", mistake.what, f"Triton refuses it: {mistake.words}", mistake.fix)
    for mistake in state_mistakes(batching):
        yield Problem("sequence-state", mistake.what, f"Triton refuses it: {mistake.words}", mistake.fix)
    for mistake in state_requests(config):
        yield Problem("sequence-state", mistake.what, mistake.words, mistake.fix, "warning")
