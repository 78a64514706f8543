"""The signature of an ONNX file, read without its weights and without the onnx package.

An ONNX file is one protobuf message (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Only the few fields
that a config depends on are followed; the bytes of a weight are skipped, so that a file of two gigabytes takes
milliseconds.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tritonops.models.graphs.wire import Message, malformed, read_message


@dataclass(frozen=True)
class GraphTensor:
    """An input or output of a graph."""

    name: str
    datatype: str | None
    """As config.pbtxt writes it, "TYPE_FP32"; None for what Triton has no type for."""
    shape: tuple[int | str, ...] | None
    """A size, or the name of a dimension that varies ("" where it has none); None where the rank is open."""

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape in Triton's terms: a dimension that varies is -1; an open rank looks like a scalar."""
        return tuple(dim if isinstance(dim, int) else -1 for dim in self.shape or ())


@dataclass(frozen=True)
class ExternalData:
    """Where a weight lies outside of the file: a path in its folder, and the byte at which the weight ends."""

    location: str
    end: int | None


@dataclass(frozen=True)
class Graph:
    """What a config has to agree with."""

    ir_version: int
    opsets: dict[str, int]
    """By domain; "" is ONNX itself."""
    inputs: tuple[GraphTensor, ...]
    """Those that every request has to give."""
    optional_inputs: tuple[GraphTensor, ...]
    """Those for which the file contains a default."""
    outputs: tuple[GraphTensor, ...]
    external_data: tuple[ExternalData, ...]
    metadata: dict[str, str]


def read_graph(path: Path) -> Graph:
    """Read the signature of an ONNX file. Raises GraphError for a file that is none, or is cut short."""
    return read_message(path, _model, explain=what_instead)


def missing_data(graph: Graph, path: Path) -> list[ExternalData]:
    """List the weights outside of the file that are not there, or are cut short."""
    return [data for data in graph.external_data if not _is_whole(path.parent / data.location, data.end)]


def _is_whole(file: Path, end: int | None) -> bool:
    return file.is_file() and file.stat().st_size >= (end or 0)


def what_instead(path: Path) -> str | None:
    """Recognise what people find in place of a model."""
    with path.open("rb") as file:
        head = file.read(64).lstrip()
    if not head:
        return "is empty"
    if head.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the file itself: fetch it with `git lfs pull`"
    if _TEXT_FORMAT.match(head):
        return "is ONNX in a text format, which ONNX Runtime does not read: save it with onnx.save"
    if head.startswith(b"<"):
        return "is a web page, not a model"
    return None


_TEXT_FORMAT = re.compile(rb"(?:<\s*)?(?:ir_version|opset_import|producer_name|graph)\s*[:{]")
"""How onnx.printer's text and protobuf's text format of a model begin."""


def _model(model: Message) -> Graph:
    graphs = list(itertools.islice(model.messages(7), 2))
    if len(graphs) != 1:
        raise malformed()
    graph = graphs[0]
    inputs = [_tensor(value) for value in graph.kept(11)]
    defaults, ir_version = _defaults(graph, {tensor.name for tensor in inputs}), model.number(1)
    if ir_version < _IR_OF_DEFAULTS:
        inputs = [tensor for tensor in inputs if tensor.name not in defaults]
    return Graph(
        ir_version=ir_version,
        opsets={"" if opset.text(1) == "ai.onnx" else opset.text(1): opset.number(2) for opset in model.kept(8)},
        inputs=tuple(tensor for tensor in inputs if tensor.name not in defaults),
        optional_inputs=tuple(tensor for tensor in inputs if tensor.name in defaults),
        outputs=tuple(_tensor(value) for value in graph.kept(12)),
        external_data=tuple(dict.fromkeys(_external_data(graph, _MAX_DEPTH))),
        metadata={entry.text(1): entry.text(2) for entry in model.kept(14)},
    )


_IR_OF_DEFAULTS = 4
"""Before it, every initializer is listed among the inputs, and is a constant (docs/IR.md of onnx/onnx)."""


def _defaults(graph: Message, names: set[str]) -> set[str]:
    """Tell which of the inputs have a default: an initializer, or a sparse one, which is named by its values."""
    if not names:
        return set()
    found = {name for tensor in graph.messages(5) if (name := tensor.text(8)) in names}
    sparse = (values for tensor in graph.messages(15) for values in tensor.messages(1))
    return found | {name for values in sparse if (name := values.text(8)) in names}


_TYPES = {
    1: "TYPE_FP32",
    2: "TYPE_UINT8",
    3: "TYPE_INT8",
    4: "TYPE_UINT16",
    5: "TYPE_INT16",
    6: "TYPE_INT32",
    7: "TYPE_INT64",
    8: "TYPE_STRING",
    9: "TYPE_BOOL",
    10: "TYPE_FP16",
    11: "TYPE_FP64",
    12: "TYPE_UINT32",
    13: "TYPE_UINT64",
    16: "TYPE_BF16",
}


_MAX_DEPTH = 33
"""Graphs in graphs: protobuf reads a hundred messages in messages, and each graph stands in a node's attribute."""


def _tensor(value: Message) -> GraphTensor:
    """Read a ValueInfoProto; a sequence, a map and an optional have no type in Triton."""
    kind = next(value.messages(2), None)
    tensor = next(kind.messages(1), None) if kind else None
    if tensor is None:
        return GraphTensor(value.text(1), None, None)
    shape = next(tensor.messages(2), None)
    dims = None if shape is None else tuple(_dims(shape))
    return GraphTensor(value.text(1), _TYPES.get(tensor.number(1)), dims)


def _dims(shape: Message) -> Iterator[int | str]:
    for dim in shape.kept(1):
        size = dim.number_if_any(1)
        yield dim.text(2) if size is None or size >= 1 << 63 else size


def _external_data(graph: Message, depth: int) -> Iterator[ExternalData]:
    """Look for weights outside of the file: among the initializers, and in the attributes of nodes."""
    if not depth:
        raise ValueError("has graphs nested too deeply for protobuf, and so for ONNX Runtime")
    for tensor in graph.messages(5):
        yield from _location_of(tensor)
    for sparse in graph.messages(15):
        for tensor in sparse.messages(1, 2):
            yield from _location_of(tensor)
    # Attributes may contain a tree's million numbers, each a field: they are looked at only where a location is.
    for node in graph.messages(1):
        if node.contains(_LOCATION):
            for attribute in node.messages(5):
                for tensor in attribute.messages(5, 10):
                    yield from _location_of(tensor)
                for inner in attribute.messages(6, 11):
                    yield from _external_data(inner, depth - 1)


_LOCATION = b"\x0a\x08location"
"""The key of an entry of `external_data` as protobuf writes it."""


def _location_of(tensor: Message) -> Iterator[ExternalData]:
    if tensor.number(14) == 1:
        yield _external({entry.text(1): entry.text(2) for entry in tensor.kept(13)})


def _external(entry: dict[str, str]) -> ExternalData:
    try:
        length = int(entry["length"]) if "length" in entry else None
        end = None if length is None else int(entry.get("offset", 0)) + length
        return ExternalData(entry["location"], end)
    except (KeyError, ValueError) as exc:
        raise malformed() from exc
