"""batch_input and batch_output: what the core's ValidateBatchIO refuses (model_config_utils.cc)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tritonops.models.configs.pbtxt import ModelConfig, type_name
from tritonops.models.rules.finding import Problem


def batch_tensor_problems(config: ModelConfig) -> Iterator[Problem]:
    """Find batch tensors of an unknown kind, type, source or target."""
    inputs = {tensor.name for tensor in config.input}
    outputs = {tensor.name for tensor in config.output}
    tensors: list[Any] = [*config.batch_input, *config.batch_output]
    for tensor in tensors:
        yield from _kind(tensor)
        sources = list(tensor.source_input)
        if not set(sources) <= inputs or len(sources) != 1:
            yield Problem(
                "batch-tensor-source",
                f"a batch tensor has the sources {sources}",
                "Triton refuses it: 'unknown source input name', or 'expects 1 source input'",
                "name one of the inputs",
            )
    for batch_input in config.batch_input:
        if type_name(batch_input) not in ("TYPE_INT32", "TYPE_FP32"):
            yield Problem(
                "batch-tensor-type",
                f"batch input {', '.join(batch_input.target_name)!r} is of another type than INT32 and FP32",
                "Triton refuses it: 'batch input data type must be TYPE_INT32 or TYPE_FP32'",
                "write one of the two",
            )
    for batch_output in config.batch_output:
        yield from _targets(list(batch_output.target_name), outputs)


def _kind(tensor: Any) -> Iterator[Problem]:
    if tensor.kind not in tensor.Kind.values():
        yield Problem(
            "batch-tensor-kind",
            f"a batch tensor has the kind {tensor.kind}, which is none of {', '.join(tensor.Kind.keys())}",
            "Triton refuses it: 'unknown batch input kind', or 'unknown batch output kind'",
            "write a kind by its name",
        )


def _targets(targets: list[str], outputs: set[str]) -> Iterator[Problem]:
    unknown = not set(targets) <= outputs
    if unknown or max(Counter(targets).values(), default=1) > 1:
        yield Problem(
            "batch-tensor-target",
            f"a batch output has the targets {targets}",
            "Triton refuses it: 'unknown target output name', or it 'can only be specified once'",
            "name one of the outputs" if unknown else "name each output once",
        )
