"""What a config is generated from: a graph with the shapes that ONNX Runtime infers, and what is known of batches."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from tritonops.errors import GraphError
from tritonops.models.graphs.batching import conclude, is_worth_a_trial
from tritonops.models.graphs.onnx_graph import Graph, GraphTensor, read_graph
from tritonops.models.graphs.operators import read_operators
from tritonops.models.graphs.trial import BatchTrial, Trial, TrialRequest, try_graphs


@dataclass(frozen=True)
class ExaminedGraph:
    """A graph and its trial."""

    graph: Graph
    batches: BatchTrial
    failure: str | None = None
    """Why ONNX Runtime does not load it; None where it does, or nobody knows."""
    untried: str | None = None
    """Why nobody knows, so that the shapes are the file's own; None where ONNX Runtime loads it, or does not."""


def examine_graphs(paths: Collection[Path], *, batches: bool = True) -> dict[Path, ExaminedGraph | GraphError]:
    """Examine graphs, all at once; batches are tried unless `batches` is false. Gives the error of what is no graph."""
    graphs = {path: _graph_or_error(path) for path in paths}
    requests = {
        path: TrialRequest(path, batches=batches and is_worth_a_trial(graph))
        for path, graph in graphs.items()
        if isinstance(graph, Graph)
    }
    trials = try_graphs(requests.values())
    return {
        path: _examined(path, graph, trials[requests[path]]) if isinstance(graph, Graph) else graph
        for path, graph in graphs.items()
    }


def examine_graph(path: Path, *, batches: bool = True) -> ExaminedGraph:
    """Examine one graph. Raises GraphError."""
    found = examine_graphs([path], batches=batches)[path]
    if isinstance(found, GraphError):
        raise found
    return found


def _graph_or_error(path: Path) -> Graph | GraphError:
    try:
        return read_graph(path)
    except GraphError as exc:
        return exc


def _examined(path: Path, graph: Graph, trial: Trial) -> ExaminedGraph | GraphError:
    inferred = with_inferred(graph, trial)
    failure = trial.reason if trial.state in ("refused", "crashed") else None
    untried = trial.reason if trial.state == "unknown" else None
    try:
        return ExaminedGraph(inferred, conclude(inferred, read_operators(path), trial.batches), failure, untried)
    except GraphError as exc:
        return exc


def with_inferred(graph: Graph, trial: Trial) -> Graph:
    """Give the graph with the tensors of a trial. A shape that neither the file nor ONNX Runtime knows is None.

    ONNX Runtime gives () for it, as for a scalar: for one that the file does not have, or has as the graph cannot.
    """
    if trial.state != "loaded":
        return graph
    all_tensors = (*graph.inputs, *graph.optional_inputs, *graph.outputs)
    unknown = {tensor.name for tensor in all_tensors if tensor.shape is None or set(tensor.shape) - {1}}

    def known(tensors: tuple[GraphTensor, ...]) -> tuple[GraphTensor, ...]:
        return tuple(
            replace(tensor, shape=None) if tensor.name in unknown and not tensor.shape else tensor for tensor in tensors
        )

    return replace(
        graph,
        inputs=known(trial.inputs),
        optional_inputs=known(trial.optional_inputs),
        outputs=known(trial.outputs),
    )
