"""A graph against the ONNX Runtime of the judged server: IR version, opset, operators, types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tritonops.models.configs.pbtxt import type_name
from tritonops.models.graphs.onnx_graph import Graph
from tritonops.models.graphs.operators import Operators
from tritonops.models.rules.finding import Problem, Subject
from tritonops.triton_image import OnnxRuntime

_EXPORT = "export the model again with an older version, or serve it with a newer TRITON_IMAGE"


def runtime_problems(graph: Graph, operators: Operators, path: Path, subject: Subject) -> Iterator[Problem]:
    """Find what the server's ONNX Runtime, or its backend, cannot load."""
    server = subject.server
    if server.onnxruntime:
        yield from _too_new(graph, path, server.onnxruntime, server.name)
    yield from _too_old(graph, operators, path)
    unknown = sorted({domain for domain, _ in operators.used} - _DOMAINS)
    if unknown and not subject.config.model_operations.op_library_filename:
        yield Problem(
            "unknown-domain",
            f"{path} uses operators of {', '.join(unknown)}",
            "ONNX Runtime refuses it, unless a library registers them: 'is not a registered function/op'",
            "name the library in `model_operations { op_library_filename }`, or export the model without them",
        )
    yield from _types(subject)


_DOMAINS = {
    *("", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "com.microsoft", "com.microsoft.nchwc"),
    *("com.microsoft.experimental", "com.microsoft.dml", "com.ms.internal.nhwc", "org.pytorch.aten"),
}
"""Of which ONNX Runtime may have operators; it has none of ai.onnx.preview.training."""


def _too_new(graph: Graph, path: Path, runtime: OnnxRuntime, server: str) -> Iterator[Problem]:
    if graph.ir_version > runtime.ir_version:
        yield Problem(
            "ir-too-new",
            f"{path} has IR version {graph.ir_version}; ONNX Runtime {runtime.version} of {server} reads "
            f"up to {runtime.ir_version}",
            "ONNX Runtime refuses it: 'Unsupported model IR version'",
            _EXPORT,
        )
    opset = graph.opsets.get("", 0)
    if opset > runtime.opset:
        yield Problem(
            "opset-too-new",
            f"{path} has opset {opset}; ONNX Runtime {runtime.version} of {server} reads up to {runtime.opset}",
            "ONNX Runtime refuses it: 'only guarantees support for … official released opset versions'",
            _EXPORT,
        )


def _too_old(graph: Graph, operators: Operators, path: Path) -> Iterator[Problem]:
    opset = graph.opsets.get("", 1)
    old = sorted(type_ for domain, type_ in operators.used if not domain and opset < _FIRST_OPSET.get(type_, 0))
    if old:
        yield Problem(
            "opset-too-old",
            f"{path} has opset {opset}, and ONNX Runtime has {', '.join(old)} from opset {_FIRST_OPSET[old[0]]} on",
            "ONNX Runtime refuses it: 'Could not find an implementation'",
            "convert it with onnx.version_converter, or export it again with opset 7 or newer",
        )


# The registry of kernels of ONNX Runtime 1.32 (CPU): the first opset at which it has one for an operator of earlier
# opsets. Dropout is missing, as it is removed from a graph before a kernel is looked for.
_FIRST_OPSET = {
    **dict.fromkeys(("GlobalLpPool", "LpPool", "Pad", "Split"), 2),
    "Concat": 4,
    **dict.fromkeys(("Abs", "Cast", "Ceil", "Clip", "Elu", "Exp", "Floor", "HardSigmoid", "InstanceNormalization"), 6),
    **dict.fromkeys(("LeakyRelu", "Log", "Max", "Mean", "Min", "Neg", "Reciprocal", "Relu", "Selu", "Sigmoid"), 6),
    **dict.fromkeys(("Sqrt", "Sum", "Tanh", "Tile"), 6),
    **dict.fromkeys(("Add", "And", "AveragePool", "BatchNormalization", "Div", "Equal", "GRU", "Gemm", "Greater"), 7),
    **dict.fromkeys(("LSTM", "Less", "Mul", "Or", "PRelu", "Pow", "RNN", "Sub", "Upsample", "Xor"), 7),
}


def _types(subject: Subject) -> Iterator[Problem]:
    """NVIDIA's backend has no bfloat16 (ModelConfigDataTypeToOnnxDataType in onnxruntime_utils.cc); ours has."""
    found = [tensor.name for tensor in subject.config.input if type_name(tensor) == "TYPE_BF16"]
    found += [tensor.name for tensor in subject.config.output if type_name(tensor) == "TYPE_BF16"]
    if found and not subject.server.is_embedded:
        yield Problem(
            "bfloat16-unsupported",
            f"{found[0]!r} is of TYPE_BF16",
            "NVIDIA's ONNX Runtime backend refuses it: 'unsupported datatype TYPE_BF16'",
            "export the model with inputs and outputs of FP16 or FP32; inside, it may compute in BF16",
        )
