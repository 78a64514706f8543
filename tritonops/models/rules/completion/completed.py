"""The config that a server would have of a model, as far as it can be told without running anything."""

from __future__ import annotations

import ast
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tritonops.errors import GraphError, UnreadableFileError
from tritonops.files import read_bytes
from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.graphs.onnx_graph import Graph, read_graph
from tritonops.models.rules.completion.backends import completes_nothing, is_completed
from tritonops.models.rules.completion.onnx import complete_from_graph, has_known_shapes, needs_completion
from tritonops.models.rules.completion.python_evaluation import UnknownValueError
from tritonops.models.rules.completion.python_method import CompletionRefusedError, complete_by_method
from tritonops.models.rules.config import effective_backend, served_versions
from tritonops.models.rules.files import graph_file, model_file
from tritonops.models.rules.finding import Problem, Subject

_MAX_SOURCE = 4 << 20


@dataclass(frozen=True)
class Completed:
    """A config, and what of it is certain."""

    config: ModelConfig
    lists_known: bool = True
    """Whether these inputs and outputs are all, with these types and dims."""
    batch_known: bool = True
    """Whether this is the server's max_batch_size."""
    refusal: str | None = None
    """What the model's own code says against the config."""


def complete(subject: Subject) -> Completed:
    """Complete a config as the judged server would; of several versions, for the newest one that it serves."""
    config, backend = subject.config, effective_backend(subject)
    if not is_completed(subject) or completes_nothing(backend):
        return Completed(config)
    if backend == "onnxruntime":
        return _by_graph(subject)
    if backend == "python":
        return _by_method(subject)
    has_lists = bool(config.input and config.output) and backend in ("tensorrt", "openvino")
    return Completed(config, has_lists and _is_whole(config), config.max_batch_size > 0)


def complete_version(subject: Subject, graph: Graph) -> tuple[ModelConfig, list[Problem]]:
    """Complete a config from the graph of one version, if the server does; with what it refuses about that."""
    return complete_from_graph(subject.config, graph) if is_completed(subject) else (subject.config, [])


def _is_whole(config: ModelConfig) -> bool:
    tensors: list[Any] = [*config.input, *config.output]
    return all(each.name and each.data_type and each.dims for each in tensors)


def _by_graph(subject: Subject) -> Completed:
    if not needs_completion(subject.config):
        return Completed(subject.config)
    path = next((graph_file(subject, version) for version in reversed(served_versions(subject))), None)
    with suppress(GraphError, OSError):
        if path is not None and path.is_file():
            graph = read_graph(path)
            return Completed(complete_from_graph(subject.config, graph)[0], has_known_shapes(graph))
    return Completed(subject.config, lists_known=False, batch_known=subject.config.max_batch_size > 0)


def _by_method(subject: Subject) -> Completed:
    path = next((model_file(subject, version) for version in reversed(served_versions(subject))), None)
    unknown = Completed(subject.config, lists_known=False, batch_known=subject.config.max_batch_size > 0)
    if path is None or not path.is_file():
        return unknown
    try:
        return Completed(complete_by_method(subject.config, ast.parse(read_bytes(path, _MAX_SOURCE))))
    except CompletionRefusedError as exc:
        return Completed(subject.config, lists_known=False, batch_known=False, refusal=f"{path}: {exc}")
    except (UnknownValueError, UnreadableFileError, SyntaxError, ValueError, RecursionError, MemoryError):
        return unknown
