"""Trials on ONNX Runtime: which graphs need one for a verdict, and what a trial says of a config."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tritonops.errors import GraphError
from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.graphs.batching import is_worth_a_trial
from tritonops.models.graphs.onnx_graph import Graph, read_graph
from tritonops.models.graphs.operators import Operators
from tritonops.models.graphs.trial import BatchTrial, Trial, TrialRequest
from tritonops.models.rules.completion.completed import complete_version
from tritonops.models.rules.config import effective_backend, served_versions
from tritonops.models.rules.files import graph_file
from tritonops.models.rules.finding import Problem, Subject
from tritonops.models.rules.onnx.tensors import output_problems

_MOST_ROWS = 5


def needed_trials(subject: Subject, *, load_all: bool) -> Iterator[TrialRequest]:
    """List the trials without which there is no verdict: of batches, and of outputs that the file leaves open.

    With `load_all`, those of all graphs.
    """
    if subject.is_ensemble or effective_backend(subject) != "onnxruntime":
        return
    for number in served_versions(subject):
        path = graph_file(subject, number)
        try:
            graph = read_graph(path) if path and path.is_file() else None
        except GraphError:
            continue
        if path and graph:
            config, _ = complete_version(subject, graph)
            if load_all or _is_needed(config, graph):
                yield trial_request(config, path, graph)


def _is_needed(config: ModelConfig, graph: Graph) -> bool:
    is_open = any(tensor.shape is None or any(isinstance(dim, str) for dim in tensor.shape) for tensor in graph.outputs)
    return _has_plain_batches(config, graph) or is_open or any(output_problems(config, graph.outputs, is_inferred=True))


def trial_request(config: ModelConfig, path: Path, graph: Graph) -> TrialRequest:
    """Build the trial of a graph under a config; the same for every caller, so that it finds the result."""
    return TrialRequest(
        path,
        batches=_has_plain_batches(config, graph),
        rows=max(1, min(_MOST_ROWS, config.max_batch_size)),
        sizes=tuple((tensor.name, tuple(tensor.dims)) for tensor in config.input if not tensor.HasField("reshape")),
        libraries=tuple(config.model_operations.op_library_filename),
    )


def _has_plain_batches(config: ModelConfig, graph: Graph) -> bool:
    """Whether each request is rows of the inputs, and of nothing that Triton adds."""
    return (
        config.max_batch_size > 0
        and is_worth_a_trial(graph)
        and not config.HasField("sequence_batching")
        and not config.batch_input
        and not config.batch_output
        and not any(tensor.allow_ragged_batch for tensor in config.input)
    )


def load_problems(subject: Subject, trial: Trial, path: Path) -> Iterator[Problem]:
    """Say that ONNX Runtime does not load a graph, or, where that was asked for, that nobody knows."""
    if trial.state == "unknown" and subject.is_load_tried:
        yield Problem(
            "load-unknown",
            f"{path} was not loaded: {trial.reason}",
            "nobody knows whether Triton loads it",
            "load it where it is served, or make room for the trial; without --load, it is not tried",
        )
    elif trial.state in ("refused", "crashed"):
        why, is_certain = _consequence(subject, trial)
        yield Problem(
            "load-refused",
            f"ONNX Runtime {_installed_version()} does not load {path}: {trial.reason}",
            why,
            "put the weights beside the graph, as files and not as links"
            if "external data" in trial.reason.lower()
            else "export the model for this runtime, or serve it with a backend that has these operators",
            "error" if is_certain else "warning",
        )


def _wants_gpu(subject: Subject) -> bool:
    groups = subject.config.instance_group
    kinds = {group.kind for group in groups} or {0}
    return any(kind in (0, 1) for kind in kinds) and subject.server.gpus != 0  # KIND_AUTO, KIND_GPU


def _consequence(subject: Subject, trial: Trial) -> tuple[str, bool]:
    """Say what the refusal here means for the judged server, and whether that is certain.

    No release has lost a kernel that an earlier one had; what else is refused may be new.
    """
    if trial.kind == "NotImplemented" and _wants_gpu(subject):
        return "its CPU provider lacks a kernel, which that of a GPU may have", False
    runtime, server = subject.server.onnxruntime, subject.server.name
    if runtime is None or runtime.version == _installed_version() or trial.kind == "NotImplemented":
        return f"{server} would not load it either", True
    return f"{server} has ONNX Runtime {runtime.version}, which may load it", False


def _installed_version() -> str:
    try:
        return version("onnxruntime")
    except PackageNotFoundError:
        return ""


def batch_problems(config: ModelConfig, graph: Graph, operators: Operators, trial: Trial) -> Iterator[Problem]:
    """Say that the first dimension of an output is not the batch that `max_batch_size` makes of it."""
    if not _has_plain_batches(config, graph):
        return
    refuted = _refutation(graph, operators, trial.batches)
    if refuted is None or (refuted.cause == "company" and not config.HasField("dynamic_batching")):
        return  # rows that depend on each other do no harm in one request
    yield Problem(
        "not-batchable",
        f"`max_batch_size` is {config.max_batch_size}, and {refuted.reason}",
        "Triton takes the first dimension of every output for the batch: answers are cut, or fail"
        if refuted.cause == "rows"
        else "Triton joins the requests of several clients, and their answers change",
        "write max_batch_size: 0 and the first dimension into dims"
        if refuted.cause == "rows"
        else "take `dynamic_batching` out",
    )


def _refutation(graph: Graph, operators: Operators, trial: BatchTrial) -> BatchTrial | None:
    for name in (tensor.name for tensor in graph.outputs if tensor.name in operators.selected_rows):
        reason = f"output {name!r} has as many rows as its {operators.selected_rows[name]} selects"
        return BatchTrial("refuted", reason, "rows")
    return trial if trial.verdict == "refuted" else None
