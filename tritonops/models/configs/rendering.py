"""config.pbtxt rendered from an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import GraphError, InputError
from tritonops.models.configs.batch_size import largest_batch, why_no_batches
from tritonops.models.configs.config_options import ConfigOptions
from tritonops.models.configs.pbtxt import escaped
from tritonops.models.configs.variants import VARIANTS, Variant, read_labels, source_path
from tritonops.models.graphs.examine import ExaminedGraph
from tritonops.models.graphs.onnx_graph import Graph, GraphTensor
from tritonops.models.graphs.trial import NOT_TRIED, BatchTrial

LABELS = "labels.txt"


@dataclass(frozen=True)
class RenderedConfigs:
    """A model's files in triton-config/."""

    texts: dict[Path, str]
    notes: tuple[str, ...]
    """What its reader has to know: why there are no batches, what ONNX Runtime says of the graph."""


def render_configs(
    examined: ExaminedGraph, default_name: str, folder: Path, *, options: ConfigOptions | None = None
) -> RenderedConfigs:
    """Render a model's files in triton-config/. Nothing is written.

    `default_name` is the model file's name below its version. Raises InputError and GraphError.
    """
    options = options or ConfigOptions()
    _require_shapes(examined)
    texts = {
        source_path(folder.parent, folder.name, variant): render_config(
            examined.graph, variant, options, default_name, examined.batches
        )
        for variant in VARIANTS
    }
    labels = {folder / LABELS: read_labels(options.labels)} if options.labels else {}
    return RenderedConfigs(texts | labels, tuple(_notes(examined, options)))


def _require_shapes(examined: ExaminedGraph) -> None:
    graph, reason = examined.graph, examined.untried or examined.failure
    unknown = [each for each in (*graph.inputs, *graph.outputs) if each.shape is None and each.datatype]
    if unknown and reason:
        raise GraphError(
            f"the shape of {unknown[0].name!r} is unknown: the file has none, and ONNX Runtime was not asked: {reason}"
            if examined.untried
            else f"the shape of {unknown[0].name!r} is unknown, and ONNX Runtime does not load the graph: {reason}",
            hint=_WITH_SHAPES,
        )


_WITH_SHAPES = "Export the model with shapes; Triton would take such a tensor for a scalar."


def _notes(examined: ExaminedGraph, options: ConfigOptions) -> Iterator[str]:
    if examined.failure:
        yield f"the ONNX Runtime of this machine does not load it: {examined.failure}"
    if examined.untried:
        yield f"the shapes are those of the file, which ONNX Runtime may know better: {examined.untried}"
    if options.max_batch_size is None and (reason := why_no_batches(examined.graph, examined.batches)):
        yield f"no batches: {reason}"
    elif options.max_batch_size and examined.batches.verdict == "unknown":
        yield f"max_batch_size is {options.max_batch_size} as asked, and was not proved: {examined.batches.reason}"
    tensors = (*examined.graph.inputs, *examined.graph.optional_inputs, *examined.graph.outputs)
    if any(tensor.datatype == "TYPE_BF16" for tensor in tensors):
        yield "NVIDIA's ONNX Runtime backend does not serve TYPE_BF16; the embedded Triton does"


def render_config(
    graph: Graph,
    variant: Variant,
    options: ConfigOptions,
    default_name: str = "model.onnx",
    batches: BatchTrial = NOT_TRIED,
) -> str:
    """Write a config for a graph; `batches` says what is known of its batches.

    Raises GraphError for a tensor that Triton cannot serve, and InputError for batches that it does not take.
    """
    largest = largest_batch(graph, options, batches)
    if options.dynamic_batching and not largest:
        raise InputError("dynamic batching needs batches, and max_batch_size is 0")
    if options.dynamic_batching and batches.verdict != "proved":
        raise InputError(
            f"dynamic batching was not proved to give each request its own answer: {batches.reason}",
            hint="Write dynamic_batching { } into the config by hand where you know that it does.",
        )
    lines = ['backend: "onnxruntime"', f"max_batch_size: {largest}"]
    lines += [f'default_model_filename: "{escaped(default_name)}"'] if default_name != "model.onnx" else []
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
    if tensor.shape is None:
        raise GraphError(
            f"the shape of {kind} {tensor.name!r} is unknown: the file has none that fits, ONNX Runtime infers none",
            hint=_WITH_SHAPES,
        )
    if 0 in tensor.shape:
        raise GraphError(
            f"{kind} {tensor.name!r} has the shape {list(tensor.shape)}: Triton has no dimension of 0",
            hint="Export the model without that tensor, or with a dimension that varies.",
        )
    yield f'    name: "{escaped(tensor.name)}"'
    yield f"    data_type: {tensor.datatype}"
    dims = _dims(tensor, batches=batches)
    yield f"    dims: [ {', '.join(map(str, dims or (1,)))} ]"
    if batches and not dims:
        yield "    reshape: { shape: [ ] }"


def _dims(tensor: GraphTensor, *, batches: bool) -> tuple[int, ...]:
    return tensor.dims[1:] if batches else tensor.dims


def _warmup(graph: Graph, *, batches: bool) -> Iterator[str]:
    yield "model_warmup ["
    yield "  {"
    yield '    name: "zeros"'
    yield "    batch_size: 1"  # of a model without batches, too: Triton skips a sample of 0
    for tensor in (*graph.inputs, *graph.optional_inputs):
        dims = [abs(dim) for dim in _dims(tensor, batches=batches)] or [1]
        yield "    inputs {"
        yield f'      key: "{escaped(tensor.name)}"'
        yield f"      value: {{ data_type: {tensor.datatype} dims: [ {', '.join(map(str, dims))} ] zero_data: true }}"
        yield "    }"
    yield "  }"
    yield "]"
