"""The warmup samples of a config: each is an inference at load time, and a model whose sample fails is not served.

A sample without a batch size is skipped: GenerateWarmupData in the core's backend_model_instance.cc.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tritonops.models.rules.core.effective import effective_backend
from tritonops.models.rules.finding import Problem, Subject


def warmup_problems(subject: Subject) -> Iterator[Problem]:
    """Find samples that do not fit the declared inputs."""
    inputs = {tensor.name: tensor for tensor in subject.config.input}
    batching = subject.config.sequence_batching
    sent = {tensor.name for tensor in batching.control_input} | {state.input_name for state in batching.state}
    for sample in subject.config.model_warmup:
        if not sample.batch_size:
            yield Problem(
                "warmup-skipped",
                f"warmup {sample.name!r} has no `batch_size`, or 0",
                "Triton skips it: the first requests warm the model up",
                "write batch_size: 1",
                "warning",
            )
            continue
        if sample.batch_size > max(1, subject.config.max_batch_size):
            yield Problem(
                "warmup-batch",
                f"warmup {sample.name!r} has a batch of {sample.batch_size}; `max_batch_size` is "
                f"{subject.config.max_batch_size}",
                "Triton does not load the model: 'failed to run warmup sample', and 2.51 may end over it",
                "make the batch smaller",
            )
        for what in _mistakes(sample, inputs):
            yield _fails(sample, what)
        for name in sorted(sample.inputs.keys() - inputs.keys() - sent):
            what = f"{name!r} is not an input"
            if effective_backend(subject) == "onnxruntime":
                yield _fails(sample, what)
            else:
                why = "Triton hands it to the model, which may not take it"
                yield Problem("warmup-input", f"warmup {sample.name!r}: {what}", why, "take it out", "warning")


def _fails(sample: Any, what: str) -> Problem:
    return Problem(
        "warmup-input",
        f"warmup {sample.name!r}: {what}",
        "Triton does not load the model: the sample is an inference, and this one fails",
        "give every input its declared type, whole sizes, and zero_data: true or random_data: true",
    )


def _mistakes(sample: Any, inputs: dict[str, Any]) -> Iterator[str]:
    """Find what Triton's core refuses; what is no input, as the controls of a sequence, it does not compare."""
    for name, tensor in inputs.items():
        if name not in sample.inputs and not tensor.optional:
            yield f"input {name!r} is missing"
    for name, data in sample.inputs.items():
        declared = inputs.get(name)
        if declared is not None and data.data_type != declared.data_type:
            yield f"input {name!r} is of another type than declared"
        elif any(dim < 1 for dim in data.dims):
            yield f"input {name!r} leaves a dimension open: {list(data.dims)}"
        elif declared is not None and not _fits(list(data.dims), list(declared.dims)):
            yield f"input {name!r} has the shape {list(data.dims)}, declared is {list(declared.dims)}"
        elif data.WhichOneof("input_data_type") is None:
            yield f"input {name!r} has no data"


def _fits(shape: list[int], declared: list[int]) -> bool:
    return len(shape) == len(declared) and all(d in (-1, s) for s, d in zip(shape, declared, strict=True))
