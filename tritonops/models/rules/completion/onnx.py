"""How NVIDIA's ONNX Runtime backend completes a config from the graph.

The rules are those of onnxruntime.cc (AutoCompleteConfig, AutoCompleteMaxBatch, AutoCompleteIO, r26.04).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tritonops.models.configs.pbtxt import ModelConfig, message_class
from tritonops.models.graphs.onnx_graph import Graph, GraphTensor
from tritonops.models.rules.completion.backends import DEFAULT_MAX_BATCH
from tritonops.models.rules.finding import Problem


def needs_completion(config: ModelConfig) -> bool:
    """Whether the backend would look at the graph: a config with inputs and outputs stays as it is."""
    return not (config.input or config.batch_input) or not config.output


def complete_from_graph(config: ModelConfig, graph: Graph) -> tuple[ModelConfig, list[Problem]]:
    """Complete a config as the backend does; with what it refuses about that."""
    if not needs_completion(config):
        return config, []
    problems: list[Problem] = []
    completed = message_class()()
    completed.CopyFrom(config)
    unbatched = next((each for each in (*graph.inputs, *graph.outputs) if each.dims[:1] != (-1,)), None)
    if unbatched is None:
        completed.max_batch_size = config.max_batch_size or DEFAULT_MAX_BATCH
        if completed.max_batch_size > 1 and not config.WhichOneof("scheduling_choice"):
            completed.dynamic_batching.SetInParent()
    elif config.max_batch_size > 0:
        problems.append(_no_batches(unbatched))
    if not (config.input or config.batch_input):
        problems += _fill(completed.input, "input", graph.inputs, batching=completed.max_batch_size > 0)
    if not config.output:
        problems += _fill(completed.output, "output", graph.outputs, batching=completed.max_batch_size > 0)
    return completed, problems


def has_known_shapes(graph: Graph) -> bool:
    """Whether the file itself says the rank of every tensor; else ONNX Runtime may infer it, or not."""
    return all(tensor.shape is not None for tensor in (*graph.inputs, *graph.outputs))


def _no_batches(tensor: GraphTensor) -> Problem:
    first = f"has the shape {list(tensor.dims)}" if tensor.dims else "is a scalar"
    return Problem(
        "batch-dimension",
        f"{tensor.name!r} {first} in the graph, which thus takes no batches, and `max_batch_size` is above 0",
        "Triton refuses it: 'autofill failed … model does not support batching while non-zero max_batch_size'",
        "write max_batch_size: 0, or export the model with a batch that varies",
    )


def _fill(tensors: Any, kind: str, found: tuple[GraphTensor, ...], *, batching: bool) -> Iterator[Problem]:
    for tensor in found:
        if tensor.datatype is None or 0 in tensor.dims:
            odd = "a dimension of 0" if tensor.datatype else "no type that Triton has"
            yield Problem(
                "tensor-type" if tensor.datatype is None else "bad-dimension",
                f"the graph's {kind} {tensor.name!r} has {odd}",
                "Triton completes the config with it, and refuses that",
                "export the model without it",
            )
        added = tensors.add(name=tensor.name, data_type=tensor.datatype or "TYPE_INVALID")
        dims = tensor.dims[1:] if batching else tensor.dims
        added.dims.extend(dims or (1,))
        if batching and not dims:
            added.reshape.SetInParent()
