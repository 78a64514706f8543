"""Small ONNX models whose answers can be told apart, and the repositories that contain them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper

IR_VERSION, OPSET = 8, 17
Signature = Mapping[str, tuple[int, Sequence[int | str]]]


def affine(
    scale: float = 1.0, offset: float = 0.0, *, width: int | str = 3, type_: int = TensorProto.FLOAT
) -> onnx.ModelProto:
    """y = scale * x + offset, for x of [batch, width]."""
    constants = [helper.make_tensor(name, type_, [], [value]) for name, value in (("scale", scale), ("offset", offset))]
    nodes = [helper.make_node("Mul", ["x", "scale"], ["scaled"]), helper.make_node("Add", ["scaled", "offset"], ["y"])]
    return model(nodes, {"x": (type_, ["batch", width])}, {"y": (type_, ["batch", width])}, constants)


def busy(scale: float = 1.0, *, size: int = 512) -> onnx.ModelProto:
    """y = scale * x, after a product of two matrices of this size, which takes some milliseconds."""
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [scale]),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("shape", TensorProto.INT64, [2], [size, size]),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "shape"], ["matrix"]),
        helper.make_node("MatMul", ["matrix", "matrix"], ["product"]),
        helper.make_node("ReduceMean", ["product"], ["work"], keepdims=0),
        helper.make_node("Mul", ["work", "zero"], ["nothing"]),
        helper.make_node("Mul", ["x", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "nothing"], ["y"]),
    ]
    signature: Signature = {"x": (TensorProto.FLOAT, ["batch", 3])}
    return model(nodes, signature, {"y": (TensorProto.FLOAT, ["batch", 3])}, constants)


def identity(type_: int, *, width: int = 3) -> onnx.ModelProto:
    """y = x, for any type of element."""
    return model(
        [helper.make_node("Identity", ["x"], ["y"])],
        {"x": (type_, ["batch", width])},
        {"y": (type_, ["batch", width])},
    )


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Signature,
    outputs: Signature,
    constants: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    """A checked model of these nodes, old enough for every runtime that we serve with."""
    graph = helper.make_graph(nodes, "graph", _values(inputs), _values(outputs), list(constants))
    made = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])
    onnx.checker.check_model(made)
    return made


def _values(signature: Signature) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, type_, shape) for name, (type_, shape) in signature.items()]


def external_weights(scale: Sequence[float], folder: Path) -> None:
    """Write y = scale * x as a folder: model.onnx, and its weights in model.onnx.data."""
    import numpy as np

    weights = numpy_helper.from_array(np.array(scale, dtype=np.float32), "scale")
    shape: list[int | str] = ["batch", len(scale)]
    made = model(
        [helper.make_node("Mul", ["x", "scale"], ["y"])],
        {"x": (TensorProto.FLOAT, shape)},
        {"y": (TensorProto.FLOAT, shape)},
        [weights],
    )
    folder.mkdir(parents=True)
    onnx.save_model(
        made, folder / "model.onnx", save_as_external_data=True, location="model.onnx.data", size_threshold=0
    )


CONFIG_TYPES: dict[int, str] = {
    TensorProto.FLOAT: "TYPE_FP32",
    TensorProto.DOUBLE: "TYPE_FP64",
    TensorProto.FLOAT16: "TYPE_FP16",
    TensorProto.BFLOAT16: "TYPE_BF16",
    TensorProto.INT8: "TYPE_INT8",
    TensorProto.INT16: "TYPE_INT16",
    TensorProto.INT32: "TYPE_INT32",
    TensorProto.INT64: "TYPE_INT64",
    TensorProto.UINT8: "TYPE_UINT8",
    TensorProto.UINT16: "TYPE_UINT16",
    TensorProto.UINT32: "TYPE_UINT32",
    TensorProto.UINT64: "TYPE_UINT64",
    TensorProto.BOOL: "TYPE_BOOL",
    TensorProto.STRING: "TYPE_STRING",
}


def config_pbtxt(made: onnx.ModelProto, *, max_batch_size: int = 8, extra: str = "") -> str:
    """The configuration that fits a model, with `extra` lines at its end; a symbolic dimension is -1, a scalar [1]."""
    lines = ['backend: "onnxruntime"', f"max_batch_size: {max_batch_size}"]
    for field, values in (("input", made.graph.input), ("output", made.graph.output)):
        for value in values:
            tensor = value.type.tensor_type
            dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
            shape = (dims[1:] if max_batch_size else dims) if dims else [1]
            lines.append(
                f'{field} [{{ name: "{value.name}" data_type: {CONFIG_TYPES[tensor.elem_type]} dims: {shape} }}]'
            )
    if "instance_group" not in extra:
        lines.append("instance_group [{ count: 1 kind: KIND_CPU }]")
    return "\n".join([*lines, extra, ""])


def write_model(
    repository: Path,
    name: str,
    versions: Mapping[int, onnx.ModelProto] | None = None,
    *,
    max_batch_size: int = 8,
    extra: str = "",
) -> Path:
    """Put a model and its configuration into a repository; by default one version that gives back its input."""
    versions = versions or {1: affine()}
    for version, made in versions.items():
        folder = repository / name / str(version)
        folder.mkdir(parents=True)
        onnx.save_model(made, folder / "model.onnx")
    config = config_pbtxt(next(iter(versions.values())), max_batch_size=max_batch_size, extra=extra)
    (repository / name / "config.pbtxt").write_text(config, encoding="utf-8")
    return repository / name
