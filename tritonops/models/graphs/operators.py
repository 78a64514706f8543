"""The operators of an ONNX file: which a runtime has to have, and what they say of the rows of the outputs."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tritonops.errors import GraphError, UnreadableFileError
from tritonops.files import open_regular
from tritonops.models.graphs.wire import Content, Message

Operator = tuple[str, str]
"""Domain and type: ("", "Add"), ("com.microsoft", "Gelu")."""


@dataclass(frozen=True)
class Operators:
    """What the nodes of a graph need."""

    used: frozenset[Operator]
    """Of the graph, its subgraphs and the model's own functions that these call; without the functions themselves."""
    selected_rows: Mapping[str, str]
    """The outputs with as many rows as some operator selects by value, each with that operator's type."""


def read_operators(path: Path) -> Operators:
    """Read the nodes of an ONNX file. Raises GraphError."""
    try:
        with open_regular(path) as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with content:
            return _operators(Message(Content(content), 0, len(content)))
    except UnreadableFileError as exc:
        raise GraphError(str(exc)) from exc
    except ValueError as exc:
        raise GraphError(f"{path}: {exc}") from exc
    except OSError as exc:
        raise GraphError(f"cannot read {path}: {exc.strerror}") from exc


_MAX_DEPTH = 33
_IS_GRAPH = (b"\xa0\x01\x05", b"\xa0\x01\x0a")
"""The field `type` of an attribute that is a graph, or several: AttributeProto.GRAPH and GRAPHS."""
_SMALL = 4096


@dataclass
class _Node:
    """One node of the main graph, as far as the rows of its outputs depend on it."""

    operator: Operator
    inputs: list[str]
    attributes: Message

    def number(self, name: str, default: int | None = None) -> int | None:
        for attribute in self.attributes.messages(5):
            if attribute.text(1) == name:
                return _signed(attribute.number(3))
        return default

    def numbers(self, name: str) -> list[int]:
        for attribute in self.attributes.messages(5):
            if attribute.text(1) == name:
                return list(attribute.numbers(8))
        return []


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


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
    producers = _producers(graph) if walk.used & _SELECTORS else {}
    found = {value.text(1): _selector(value.text(1), producers) for value in graph.messages(12)}
    return Operators(frozenset(walk.used), {name: type_ for name, type_ in found.items() if type_})


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


_SELECTORS = {("", "NonMaxSuppression"), ("", "Compress"), ("", "Unique"), ("", "NonZero")}
_SAME_ROWS = {
    *("Identity", "Cast", "Relu", "Sigmoid", "Tanh", "Abs", "Neg", "Exp", "Log", "Sqrt", "Floor", "Ceil", "Round"),
    *("Not", "Clip", "Softmax", "LogSoftmax", "LayerNormalization", "LeakyRelu", "Elu", "Gelu", "Erf"),
}


def _producers(graph: Message) -> dict[str, _Node]:
    found = {}
    for node in graph.messages(1):
        made = _Node(_operator(node), list(node.texts(1)), node)
        found.update(dict.fromkeys(node.texts(2), made))
    return found


def _selector(name: str, producers: Mapping[str, _Node], steps: int = 100) -> str | None:
    """Follow the first dimension of a tensor back to an operator that selects rows by value; None where none is met."""
    node = producers.get(name)
    if node is None or not steps or node.operator[0]:
        return None
    match node.operator[1]:
        case "NonMaxSuppression":
            return "NonMaxSuppression"
        case "Compress" | "Unique" as type_:
            axis = node.number("axis")
            return type_ if not axis else _selector(node.inputs[0], producers, steps - 1)
        case "Transpose":
            return _transposed(node, producers, steps)
        case "Gather":
            source = 1 if node.number("axis", 0) == 0 else 0
            return _selector(node.inputs[source], producers, steps - 1)
        case "GatherND":
            source = 0 if node.number("batch_dims", 0) else 1
            return _selector(node.inputs[source], producers, steps - 1)
        case "Squeeze":
            return _squeezed(node, producers)
        case type_ if type_ in _SAME_ROWS:
            return _selector(node.inputs[0], producers, steps - 1)
    return None


def _transposed(node: _Node, producers: Mapping[str, _Node], steps: int) -> str | None:
    """NonZero has a row for each dimension and a column for each element found: transposed, it has those rows."""
    perm = node.numbers("perm")
    if _is_nonzero(node.inputs[0], producers):
        return "NonZero" if not perm or perm[0] == 1 else None
    return _selector(node.inputs[0], producers, steps - 1) if perm and perm[0] == 0 else None


def _squeezed(node: _Node, producers: Mapping[str, _Node]) -> str | None:
    """Squeeze of a NonZero of one dimension: one element for each that was found."""
    return "NonZero" if _is_nonzero(node.inputs[0], producers) else None


def _is_nonzero(name: str, producers: Mapping[str, _Node]) -> bool:
    node = producers.get(name)
    return node is not None and node.operator == ("", "NonZero")
