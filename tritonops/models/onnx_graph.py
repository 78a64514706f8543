"""The signature of an ONNX file, read without its weights and without the onnx package.

An ONNX file is one protobuf message (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Only the few fields
that a config depends on are followed; the bytes of a weight are skipped, so that a file of two gigabytes takes
milliseconds.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import GraphError


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
    """Where a weight lies outside of the file: a path beside it, and the byte at which the weight ends."""

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
    """Those for which the file holds a default."""
    outputs: tuple[GraphTensor, ...]
    external_data: tuple[ExternalData, ...]
    metadata: dict[str, str]


def read_graph(path: Path) -> Graph:
    """Read the signature of an ONNX file. Raises GraphError for a file that is none, or is cut short."""
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _model(_Message(memoryview(content)))
    except ValueError as exc:
        raise GraphError(f"{path}: {_what_instead(path) or exc}") from exc
    except OSError as exc:
        raise GraphError(f"cannot read {path}: {exc.strerror}") from exc


def _what_instead(path: Path) -> str | None:
    """Recognise what people find in place of a model."""
    with path.open("rb") as file:
        head = file.read(64).lstrip()
    if not head:
        return "is empty"
    if head.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the file itself: fetch it with `git lfs pull`"
    if head.startswith(b"<"):
        return "is a web page, not a model"
    return None


class _Message:
    """The fields of one protobuf message, by number, found without copying their bytes."""

    def __init__(self, data: memoryview) -> None:
        self._fields: dict[int, list[int | memoryview]] = {}
        for number, value in _fields(data):
            self._fields.setdefault(number, []).append(value)

    def number(self, field: int, default: int = 0) -> int:
        value = self._fields.get(field, [default])[-1]
        if isinstance(value, memoryview):
            raise _malformed()
        return value

    def text(self, field: int) -> str:
        try:
            return str(next(reversed(list(self.raw(field))), b""), "utf-8")
        except UnicodeDecodeError as exc:
            raise _malformed() from exc

    def raw(self, field: int) -> Iterator[memoryview]:
        for value in self._fields.get(field, ()):
            if isinstance(value, int):
                raise _malformed()
            yield value

    def messages(self, field: int) -> Iterator[_Message]:
        return (_Message(value) for value in self.raw(field))

    def has(self, field: int) -> bool:
        return field in self._fields


def _malformed() -> ValueError:
    return ValueError("is not an ONNX file, or is cut short")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Follow the wire format: https://protobuf.dev/programming-guides/encoding/."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        size = 8 if wire == 1 else 4 if wire == 5 else 0
        if wire == 2:
            size, at = _varint(data, at)
        if not number or wire not in (1, 2, 5) or at + size > len(data):
            raise _malformed()
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise _malformed()


def _model(model: _Message) -> Graph:
    graphs = list(model.messages(7))
    if len(graphs) != 1:
        raise _malformed()
    defaults = {tensor.text(8) for tensor in graphs[0].messages(5)}
    inputs = [_tensor(value) for value in graphs[0].messages(11)]
    return Graph(
        ir_version=model.number(1),
        opsets={"" if opset.text(1) == "ai.onnx" else opset.text(1): opset.number(2) for opset in model.messages(8)},
        inputs=tuple(tensor for tensor in inputs if tensor.name not in defaults),
        optional_inputs=tuple(tensor for tensor in inputs if tensor.name in defaults),
        outputs=tuple(_tensor(value) for value in graphs[0].messages(12)),
        external_data=tuple(dict.fromkeys(_external_data(graphs[0]))),
        metadata={entry.text(1): entry.text(2) for entry in model.messages(14)},
    )


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


def _tensor(value: _Message) -> GraphTensor:
    """Read a ValueInfoProto; a sequence, a map and an optional have no type in Triton."""
    kind = next(value.messages(2), None)
    tensor = next(kind.messages(1), None) if kind else None
    if tensor is None:
        return GraphTensor(value.text(1), None, None)
    shape = next(tensor.messages(2), None)
    dims = None if shape is None else tuple(_dims(shape))
    return GraphTensor(value.text(1), _TYPES.get(tensor.number(1)), dims)


def _dims(shape: _Message) -> Iterator[int | str]:
    for dim in shape.messages(1):
        size = dim.number(1)
        yield size if dim.has(1) and size < 1 << 63 else dim.text(2)


def _external_data(graph: _Message) -> Iterator[ExternalData]:
    """Look for weights outside of the file: among the initializers, and in the attributes of nodes."""
    tensors = [*graph.messages(5)]
    for sparse in graph.messages(15):
        tensors += [*sparse.messages(1), *sparse.messages(2)]
    for attribute in (attribute for node in graph.messages(1) for attribute in node.messages(5)):
        tensors += [*attribute.messages(5), *attribute.messages(10)]
        for inner in (*attribute.messages(6), *attribute.messages(11)):
            yield from _external_data(inner)
    for tensor in tensors:
        if tensor.number(14) == 1:
            yield _location({entry.text(1): entry.text(2) for entry in tensor.messages(13)})


def _location(entry: dict[str, str]) -> ExternalData:
    try:
        length = int(entry["length"]) if "length" in entry else None
        end = None if length is None else int(entry.get("offset", 0)) + length
        return ExternalData(entry["location"], end)
    except (KeyError, ValueError) as exc:
        raise _malformed() from exc
