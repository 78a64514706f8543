"""The operators of an ONNX file: which a runtime has to have, and what they say of the rows of the outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tritonops.models.graphs.onnx_graph import what_instead
from tritonops.models.graphs.selected_rows import SELECTORS, SLICE, SelectedRows
from tritonops.models.graphs.wire import Message, read_message

Operator = tuple[str, str]
"""Domain and type: ("", "Add"), ("com.microsoft", "Gelu")."""


@dataclass(frozen=True)
class Operators:
    """What the nodes of a graph need."""

    used: frozenset[Operator]
    """Of the graph, its subgraphs and the model's own functions that these call; without the functions themselves."""
    selected_rows: Mapping[str, str]
    """The outputs with as many rows as some operator selects by value, each with that operator's type."""
    may_select: str | None = None
    """An operator that chooses a number of elements by value somewhere, whether or not an output has that number."""


def read_operators(path: Path) -> Operators:
    """Read the nodes of an ONNX file. Raises GraphError."""
    return read_message(path, _operators, explain=what_instead)


_MAX_DEPTH = 33
_IS_GRAPH = (b"\xa0\x01\x05", b"\xa0\x01\x0a")
"""The field `type` of an attribute that is a graph, or several: AttributeProto.GRAPH and GRAPHS."""
_SMALL = 4096


@dataclass
class _Walk:
    """What is found on the way through a graph, its subgraphs and the functions that it calls."""

    functions: dict[Operator, Message]
    used: set[Operator] = field(default_factory=set)
    entered: set[Operator] = field(default_factory=set)

    def graph(self, graph: Message, nodes_field: int, depth: int) -> None:
        if not depth:
            raise ValueError("has graphs nested too deeply for protobuf, and so for ONNX Runtime")
        for node in graph.messages(nodes_field):
            operator = _operator(node)
            if operator not in self.functions:
                self.used.add(operator)
            elif operator not in self.entered:
                self.entered.add(operator)
                self.graph(self.functions[operator], 7, depth - 1)
            for inner in _subgraphs(node):
                self.graph(inner, 1, depth - 1)


def _operators(model: Message) -> Operators:
    functions = {(_domain(function.text(10)), function.text(1)): function for function in model.kept(25)}
    walk = _Walk(functions)
    graph = next(model.messages(7), None)
    if graph is None:
        raise ValueError("is not an ONNX file, or is cut short")
    walk.graph(graph, 1, _MAX_DEPTH)
    if not walk.used & {*SELECTORS, SLICE}:
        return Operators(frozenset(walk.used), {})
    rows = SelectedRows(graph)
    elsewhere = sorted(type_ for _, type_ in walk.used & SELECTORS - rows.operators)  # in a subgraph, or a function
    return Operators(frozenset(walk.used), rows.outputs(), rows.chooses or next(iter(elsewhere), None))


def _operator(node: Message) -> Operator:
    return _domain(node.text(7)), node.text(4)


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _subgraphs(node: Message) -> Iterator[Message]:
    """Find graphs in attributes; a tree's million numbers are each a field, and are passed over."""
    if node.size > _SMALL and not any(node.contains(mark) for mark in _IS_GRAPH):
        return
    for attribute in node.messages(5):
        if attribute.size <= _SMALL or any(attribute.contains(mark) for mark in _IS_GRAPH):
            yield from attribute.messages(6, 11)
