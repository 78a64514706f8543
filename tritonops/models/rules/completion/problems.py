"""The tensors and batches of a config, judged as the server has them: completed where it completes configs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.rules.completion.backends import (
    COUNTS_INPUTS,
    NEEDS_TENSORS,
    completes_lists,
    is_completed,
    keeps_tensors,
    why_not_completed,
)
from tritonops.models.rules.completion.completed import Completed, complete
from tritonops.models.rules.completion.python_method import METHOD
from tritonops.models.rules.config import effective_backend
from tritonops.models.rules.core.batch_tensors import batch_tensor_problems
from tritonops.models.rules.finding import Problem, Subject
from tritonops.models.rules.tensors import incomplete_tensors, tensor_problems
from tritonops.models.rules.warmup import warmup_problems


def completion_problems(subject: Subject) -> Iterator[Problem]:
    """Find what is missing or wrong in a config once the server has completed it."""
    completed = complete(subject)
    # What comes from a graph is judged with the graph.
    declared = subject.config if completes_lists(effective_backend(subject)) else completed.config
    batching = completed.config.max_batch_size > 0 or not completed.batch_known
    counts_inputs = not subject.is_ensemble and effective_backend(subject) in COUNTS_INPUTS
    yield from tensor_problems(declared, batching=batching, counts_inputs=counts_inputs)
    if completed.lists_known:
        yield from batch_tensor_problems(completed.config)
    yield from _incomplete(subject, declared, completed)
    yield from _lists(subject, completed)
    yield from _batches(subject, completed)
    if completed.refusal:
        yield Problem(
            "python-auto-complete",
            completed.refusal,
            f"Triton does not load the model: its `{METHOD}` refuses the config, or fails",
            f"make the config agree with `{METHOD}`, or leave out there what the method adds",
        )
    yield from _vllm(subject)


def completed_warmup_problems(subject: Subject) -> Iterator[Problem]:
    """Find warmup samples that do not fit the inputs that the server has."""
    completed = complete(subject)
    if completed.lists_known:
        yield from warmup_problems(replace(subject, config=completed.config))


def _incomplete(subject: Subject, declared: ModelConfig, completed: Completed) -> Iterator[Problem]:
    """Find declared tensors without a type or dims, which some backends add."""
    backend = effective_backend(subject)
    is_final = completed.lists_known or not is_completed(subject) or keeps_tensors(backend)
    why, leave_out = why_not_completed(subject), ""
    if is_completed(subject) and completes_lists(backend):
        why = f"; {backend} completes a list of tensors only where it is empty"
        leave_out = ", or leave out all of `{kind}`"
    for problem in incomplete_tensors(declared, why=why, leave_out=leave_out):
        if is_final or problem.code == "tensor-without-name":
            yield problem


def _lists(subject: Subject, completed: Completed) -> Iterator[Problem]:
    backend = effective_backend(subject)
    if not completed.lists_known or backend == "vllm":
        return
    for kind, tensors in (("input", completed.config.input), ("output", completed.config.output)):
        if not tensors and backend in NEEDS_TENSORS:
            yield Problem(
                f"no-{kind}s",
                f"no `{kind}` is declared",
                f"Triton does not load the model: 'must contain at least one {kind}', and {backend} completes none",
                f"declare the {kind}s",
            )
        elif not tensors and kind == "output":
            yield Problem(
                "no-outputs",
                "no `output` is declared",
                f"Triton serves the model, and its responses have no tensors{why_not_completed(subject)}",
                _declare(subject),
                "warning",
            )


def _declare(subject: Subject) -> str:
    """Say how the tensors of a model come into its config."""
    match effective_backend(subject):
        case "onnxruntime":
            return f"declare them; `inv models.generate-config {subject.name} --overwrite` writes them from the graph"
        case "python" if is_completed(subject):
            return f"declare them, or add them in `{METHOD}` of model.py"
    return "declare them"


def _batches(subject: Subject, completed: Completed) -> Iterator[Problem]:
    config = subject.config
    if not completed.batch_known:
        return
    if completed.config.max_batch_size == 0 and config.HasField("dynamic_batching"):
        yield Problem(
            "batching-without-batches",
            "`dynamic_batching` with a `max_batch_size` of 0",
            "Triton serves the model and batches nothing: 0 means that it takes no batches",
            "give `max_batch_size`, or take `dynamic_batching` out",
            "warning",
        )
    if completed.config.max_batch_size > 0 == config.max_batch_size and effective_backend(subject) == "onnxruntime":
        missing = " and ".join(f"`{kind}`" for kind in ("input", "output") if not getattr(config, kind))
        yield Problem(
            "batch-guessed",
            f"`max_batch_size` is not set, or 0, and {missing} is left to {subject.server.name} to complete",
            f"it takes the first dimension of every tensor for a batch, and sets max_batch_size: "
            f"{completed.config.max_batch_size} with `dynamic_batching`",
            f"write max_batch_size; where it is to be 0, the tensors count too: {_declare(subject)}",
            "warning",
        )


def _vllm(subject: Subject) -> Iterator[Problem]:
    """Find what the vLLM backend's model.py (r26.04) refuses: in auto_complete_config, or without it in initialize."""
    config = subject.config
    if subject.config.backend != "vllm":
        return
    is_decoupled = config.model_transaction_policy.decoupled
    if is_completed(subject):
        is_refused = config.max_batch_size > 0 or (config.HasField("model_transaction_policy") and not is_decoupled)
        what, fix = "has something else", "take `max_batch_size` and `model_transaction_policy` out"
    else:
        is_refused = not is_decoupled or "text_output" not in {tensor.name for tensor in config.output}
        what, fix = "lacks one of them, or output 'text_output'", "start the server without that option"
    if is_refused:
        yield Problem(
            "vllm-config",
            f"vLLM works with max_batch_size: 0 and decoupled: true, and the config {what}",
            f"Triton does not load the model: the backend's model.py refuses it{why_not_completed(subject)}",
            fix,
        )
