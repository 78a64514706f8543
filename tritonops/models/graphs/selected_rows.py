"""The outputs of a graph whose first dimension is a number of rows that some operator selects by value.

Which rows an operator keeps depends on the data: made-up inputs may keep all of them, and would prove batches then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tritonops.models.graphs.wire import Message

SELECTORS = {("", "NonMaxSuppression"), ("", "Compress"), ("", "Unique"), ("", "NonZero")}
SLICE = ("", "Slice")
_SAME_ROWS = {
    *("Identity", "Cast", "Relu", "Sigmoid", "Tanh", "Abs", "Neg", "Exp", "Log", "Sqrt", "Floor", "Ceil", "Round"),
    *("Not", "Clip", "Softmax", "LogSoftmax", "LayerNormalization", "LeakyRelu", "Elu", "Gelu", "Erf", "PRelu"),
    *("MatMul", "Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "BatchNormalization", "Slice"),
}
"""Operators whose output has the rows of the first input; a Slice has at most these."""
_OF_TENSORS = {
    *("Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Sum", "Mean", "Where", "And", "Or", "Xor"),
    *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
}
"""Element by element: one with another number of rows would be broadcast."""
_WITHOUT_VALUES, _WITH_SUBGRAPHS = {"Shape", "Size"}, {"If", "Loop", "Scan"}
"""What depends on shapes alone, and what may depend on tensors that are not among its inputs."""
_MOST_STEPS = 100


@dataclass
class _Node:
    """One node of the main graph."""

    domain: str
    type_: str
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


class SelectedRows:
    """Follows tensors of the main graph back through the nodes that make them. Raises ValueError."""

    def __init__(self, graph: Message) -> None:
        self._graph = graph
        self.operators: set[tuple[str, str]] = set()
        """Those of the main graph."""
        self.chooses: str | None = None
        """The first that chooses a number of elements by the data of a request."""
        constants = {tensor.text(8) for tensor in graph.messages(5)}
        self._varying = {value.text(1) for value in graph.messages(11)} - constants
        self._producers: dict[str, _Node] = {}
        for node in graph.messages(1):
            domain, outputs = node.text(7), list(node.texts(2))
            made = _Node("" if domain == "ai.onnx" else domain, node.text(4), list(node.texts(1)), node)
            self._producers.update(dict.fromkeys(outputs, made))
            self.operators.add((made.domain, made.type_))
            if self.chooses is None and self._chooses(made):
                self.chooses = made.type_
            if made.type_ in _WITH_SUBGRAPHS or (made.type_ not in _WITHOUT_VALUES and self._varies(*made.inputs)):
                self._varying.update(outputs)
        self._selectors: dict[str, str | None] = {}

    def outputs(self) -> dict[str, str]:
        """Give the outputs with as many rows as an operator selects, each with that operator's type."""
        found = {value.text(1): self.selector(value.text(1)) for value in self._graph.messages(12)}
        return {name: type_ for name, type_ in found.items() if type_}

    def _chooses(self, node: _Node) -> bool:
        if (node.domain, node.type_) == SLICE:
            return self._varies(*node.inputs[1:3])  # where it starts and ends
        return (node.domain, node.type_) in SELECTORS and self._varies(*node.inputs)

    def selector(self, name: str, steps: int = _MOST_STEPS) -> str | None:
        """Follow the first dimension of a tensor to an operator that selects rows by value; None where none is met."""
        if name not in self._selectors:
            node = self._producers.get(name)
            is_followed = node and steps and not node.domain
            self._selectors[name] = self._selector_of(node, steps - 1) if node and is_followed else None
        return self._selectors[name]

    def _selector_of(self, node: _Node, steps: int) -> str | None:
        def follow(number: int = 0) -> str | None:
            return self.selector(node.inputs[number], steps) if number < len(node.inputs) else None

        match node.type_:
            case "NonMaxSuppression":
                return node.type_ if self._varies(*node.inputs[:2]) else None
            case "Compress" | "Unique" if not node.number("axis"):
                return node.type_ if self._varies(*node.inputs[-1:]) else None
            case "Compress" | "Unique":
                return follow()
            case "Transpose":
                return self._transposed(node, follow)
            case "Gather":
                return follow(0 if node.number("axis", 0) else 1)
            case "GatherND":
                return follow(0 if node.number("batch_dims", 0) else 1)
            case "Squeeze":  # of NonZero of one dimension: one element for each that was found
                return "NonZero" if self._is_nonzero(node.inputs[0]) else follow()
            case "Gemm":
                return None if node.number("transA", 0) else follow()
            case "Split":
                return follow() if node.number("axis", 0) else None
            case "Flatten":
                return follow() if node.number("axis", 1) == 1 else None
            case "Concat":
                return next((type_ for name in node.inputs if (type_ := self.selector(name, steps))), None)
            case _ if node.type_ in _OF_TENSORS:
                found = [self.selector(name, steps) for name in node.inputs if self._varies(name)]
                return found[0] if found and all(found) else None
            case _ if node.type_ in _SAME_ROWS:
                return follow()
        return None

    def _transposed(self, node: _Node, follow: Callable[[], str | None]) -> str | None:
        """NonZero has a row for each dimension and a column for each element found: transposed, it has those rows."""
        perm = node.numbers("perm")
        if self._is_nonzero(node.inputs[0]):
            return "NonZero" if not perm or perm[0] == 1 else None
        return follow() if perm and perm[0] == 0 else None

    def _is_nonzero(self, name: str) -> bool:
        node = self._producers.get(name)
        return bool(node and (node.domain, node.type_) == ("", "NonZero") and self._varies(*node.inputs))

    def _varies(self, *names: str) -> bool:
        """Whether the data of a request changes one of these tensors, and not its shapes alone."""
        return not self._varying.isdisjoint(names)
