"""Whether a graph takes batches: what its shapes rule out, what its names say, and what a trial proved."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tritonops.models.graphs.onnx_graph import Graph, GraphTensor
from tritonops.models.graphs.operators import Operators
from tritonops.models.graphs.trial import BatchTrial


def why_not_batched(graph: Graph) -> str | None:
    """Say why the first dimension of the tensors cannot be a batch; None where it may be one."""
    if graph.optional_inputs:
        return f"input {graph.optional_inputs[0].name!r} is optional"
    if not graph.inputs or not graph.outputs:
        return "it has no input, or no output"
    return _why_not_a_batch((*graph.inputs, *graph.outputs))


def is_worth_a_trial(graph: Graph) -> bool:
    """Whether the inputs may have a batch; ONNX Runtime may know more of the outputs than the file says."""
    return bool(graph.inputs) and not graph.optional_inputs and _why_not_a_batch(graph.inputs) is None


def _why_not_a_batch(tensors: Iterable[GraphTensor]) -> str | None:
    for tensor in tensors:
        if tensor.shape is None:
            return f"the rank of {tensor.name!r} is unknown"
        if not tensor.shape:
            return f"{tensor.name!r} is a scalar"
        if isinstance(tensor.shape[0], int):
            return f"the first dimension of {tensor.name!r} is fixed at {tensor.shape[0]}"
    return None


_LENGTH = re.compile(
    r"(?<![a-z])(?:seq(?:uence)?s?|len(?:gth)?s?|time(?:_?steps?)?|frames?|samples?|tokens?|words?|chars?|points?|"
    r"nodes?|edges?|boxes|rois|detections?|patches|windows?|steps?|num|width|height)(?![a-z])"
)
_BATCH = re.compile(r"batch|(?<![a-z])bs?z?(?![a-z])")


def looks_like_length(graph: Graph) -> str | None:
    """Say why the first dimension seems to be a length, of which a request may have more than a batch has rows."""
    firsts = list(_first_names(graph.inputs))
    if any(_BATCH.search(name.lower()) for name in firsts):
        return None
    for tensor in graph.inputs:
        name = str(tensor.shape[0]) if tensor.shape else ""
        if _LENGTH.search(name.lower()):
            return f"the first dimension of {tensor.name!r} is called {name!r}, which is a length"
    if all(len(tensor.shape or ()) == 1 for tensor in (*graph.inputs, *graph.outputs)):
        return f"every tensor is a vector, and {firsts[0]!r} its length" if firsts[0] else "every tensor is a vector"
    return None


def _first_names(tensors: Iterable[GraphTensor]) -> Iterable[str]:
    return (str(tensor.shape[0]) for tensor in tensors if tensor.shape)


def conclude(graph: Graph, operators: Operators, trial: BatchTrial) -> BatchTrial:
    """Put the shapes, the operators and the trial together: "proved" where nothing speaks against it."""
    if reason := why_not_batched(graph):
        return BatchTrial("refuted", reason, "rows")
    for name, type_ in operators.selected_rows.items():
        reason = f"output {name!r} has as many rows as its {type_} selects: its first dimension is not the batch"
        return BatchTrial("refuted", reason, "rows")
    if trial.verdict == "proved" and operators.may_select and not _outputs_have_the_batch_s_name(graph):
        reason = f"its {operators.may_select} chooses elements by value, which made-up inputs need not show"
        return BatchTrial("unknown", reason)
    return trial


def _outputs_have_the_batch_s_name(graph: Graph) -> bool:
    """Whether every output's first dimension is that of an input, by a name that ONNX Runtime has followed."""
    names = {name for name in _first_names(graph.inputs) if name}
    return all(name in names for name in _first_names(graph.outputs))
