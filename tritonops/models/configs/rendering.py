"""config.pbtxt rendered from an ONNX graph."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import GraphError, InputError
from tritonops.models.configs.batch_trial import BatchTrial, try_batches
from tritonops.models.configs.onnx_graph import Graph, GraphTensor, read_graph
from tritonops.models.configs.variants import VARIANTS, Variant, read_labels, source_path

LABELS = "labels.txt"
_DEFAULT_BATCH = 8
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConfigOptions:
    """Options of a config that its graph does not determine."""

    max_batch_size: int | None = None
    """None: 8 where the graph takes batches, else 0."""
    dynamic_batching: bool = False
    """Enable dynamic batching."""
    warmup: bool = False
    """Add a warm-up request (dynamic dimensions are 1)."""
    labels: Path | None = None
    """A file of class names, one a line, for the first output."""


def config_texts(
    graph_path: Path, default_name: str, folder: Path, *, options: ConfigOptions | None = None
) -> dict[Path, str]:
    """Render a model's files in triton-config/ from its graph, on which batches are tried. Nothing is written.

    `default_name` is the model file's name below its version. Raises InputError and GraphError.
    """
    options = options or ConfigOptions()
    graph = read_graph(graph_path)
    trial = None if why_not_batched(graph) or options.max_batch_size == 0 else try_batches(graph_path)
    texts = {
        source_path(folder.parent, folder.name, variant): render_config(graph, variant, options, default_name, trial)
        for variant in VARIANTS
    }
    return texts | ({folder / LABELS: read_labels(options.labels)} if options.labels else {})


def why_not_batched(graph: Graph) -> str | None:
    """Say why the first dimension of the tensors cannot be a batch; None where it may be one."""
    tensors = (*graph.inputs, *graph.outputs)
    if graph.optional_inputs:
        return f"input {graph.optional_inputs[0].name!r} is optional"
    if not graph.inputs or not graph.outputs:
        return "it has no input, or no output"
    for tensor in tensors:
        first = tensor.shape[0] if tensor.shape else None
        if not isinstance(first, str):
            fixed = f"the first dimension of {tensor.name!r} is fixed at {first}"
            return fixed if first is not None else f"{tensor.name!r} is a scalar, or of unknown rank"
        if not first:
            return f"the first dimension of {tensor.name!r} has no name, and may be any"
    if all(len(tensor.shape or ()) == 1 and "batch" not in str(tensor.shape).lower() for tensor in tensors):
        return f"every tensor is a vector, and {_firsts(graph)[0]!r} its length"
    return None


def _firsts(graph: Graph) -> list[str]:
    """The names of the first dimensions, each once."""
    return sorted({str(tensor.shape[0]) for tensor in (*graph.inputs, *graph.outputs) if tensor.shape})


def _largest_batch(graph: Graph, options: ConfigOptions, trial: BatchTrial | None) -> int:
    """Choose max_batch_size. Raises InputError where the graph does not support the options."""
    if options.max_batch_size == 0:
        return 0
    trial = trial or BatchTrial("unknown", "it was not tried")
    reason = why_not_batched(graph) or (trial.reason if trial.verdict == "refuted" else None)
    if reason is None and trial.verdict == "unknown" and len(_firsts(graph)) > 1:
        names = ", ".join(map(repr, _firsts(graph)))
        reason = f"the first dimensions have different names ({names}), and a trial was not possible: {trial.reason}"
        if options.max_batch_size:
            _log.warning("max_batch_size is %d as asked, but %s", options.max_batch_size, reason)
            return options.max_batch_size
    if reason and (options.max_batch_size or options.dynamic_batching):
        raise InputError(f"the graph takes no batches: {reason}")
    return 0 if reason else options.max_batch_size or _DEFAULT_BATCH


def render_config(
    graph: Graph,
    variant: Variant,
    options: ConfigOptions,
    default_name: str = "model.onnx",
    trial: BatchTrial | None = None,
) -> str:
    """Write a config for a graph; `trial` says what is known of its batches.

    Raises GraphError for a tensor that Triton has no type for, and InputError for batches that it does not take.
    """
    largest = _largest_batch(graph, options, trial)
    if options.dynamic_batching and not largest:
        raise InputError("dynamic batching needs batches, and max_batch_size is 0")
    if options.dynamic_batching and (trial is None or trial.verdict != "proved"):
        reason = trial.reason if trial else "it was not tried"
        raise InputError(
            f"dynamic batching was not proved to give each request its own answer: {reason}",
            hint="Write dynamic_batching { } into the config by hand where you know that it does.",
        )
    lines = ['backend: "onnxruntime"', f"max_batch_size: {largest}"]
    lines += [f'default_model_filename: "{default_name}"'] if default_name != "model.onnx" else []
    lines += _tensors("input", graph.inputs, graph.optional_inputs, batches=largest > 0)
    lines += _tensors("output", graph.outputs, (), batches=largest > 0, labels=options.labels is not None)
    lines += ["instance_group [", "  {", "    count: 1", f"    kind: KIND_{variant.upper()}"]
    lines += ["    gpus: [ 0 ]"] if variant == "gpu" else []
    lines += ["  }", "]"]
    lines += ["dynamic_batching { }"] if options.dynamic_batching else []
    lines += list(_warmup(graph, batches=largest > 0)) if options.warmup else []
    return "\n".join([*lines, ""])


def _tensors(
    kind: str,
    required: tuple[GraphTensor, ...],
    optional: tuple[GraphTensor, ...],
    *,
    batches: bool,
    labels: bool = False,
) -> Iterator[str]:
    blocks = [list(_tensor(kind, tensor, batches=batches)) for tensor in required]
    blocks += [[*_tensor(kind, tensor, batches=batches), "    optional: true"] for tensor in optional]
    if labels and blocks:
        blocks[0].append(f'    label_filename: "{LABELS}"')
    yield f"{kind} ["
    for block in blocks:
        yield "  {"
        yield from block
        yield "  }" if block is blocks[-1] else "  },"
    yield "]"


def _tensor(kind: str, tensor: GraphTensor, *, batches: bool) -> Iterator[str]:
    if tensor.datatype is None:
        raise GraphError(
            f"{kind} {tensor.name!r} is no tensor of a type that Triton has",
            hint="Export the model with plain tensors (for scikit-learn: zipmap=False).",
        )
    yield f'    name: "{_quoted(tensor.name)}"'
    yield f"    data_type: {tensor.datatype}"
    dims = _dims(tensor, batches=batches)
    yield f"    dims: [ {', '.join(map(str, dims or (1,)))} ]"
    if batches and not dims:
        yield "    reshape: { shape: [ ] }"


def _dims(tensor: GraphTensor, *, batches: bool) -> tuple[int, ...]:
    return tensor.dims[1:] if batches else tensor.dims


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _warmup(graph: Graph, *, batches: bool) -> Iterator[str]:
    yield "model_warmup ["
    yield "  {"
    yield '    name: "zeros"'
    yield f"    batch_size: {1 if batches else 0}"
    for tensor in (*graph.inputs, *graph.optional_inputs):
        dims = [abs(dim) for dim in _dims(tensor, batches=batches)] or [1]
        yield "    inputs {"
        yield f'      key: "{_quoted(tensor.name)}"'
        yield f"      value: {{ data_type: {tensor.datatype} dims: [ {', '.join(map(str, dims))} ] zero_data: true }}"
        yield "    }"
    yield "  }"
    yield "]"
