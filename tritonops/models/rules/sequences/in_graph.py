"""The control tensors of sequence batching against an ONNX graph.

The rules are those of ValidateBooleanSequenceControl, ValidateTypedSequenceControl and of the number of inputs in
NVIDIA's onnxruntime.cc (r24.10 and r26.04 alike).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tritonops.errors import near_misses
from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.graphs.onnx_graph import Graph, GraphTensor
from tritonops.models.rules.finding import Problem
from tritonops.models.rules.sequences.controls import ID_KIND, ID_TYPES, control_type, kinds


def control_problems(config: ModelConfig, graph: Graph) -> Iterator[Problem]:
    """Find control tensors that the graph does not have, or has otherwise."""
    batching = config.sequence_batching
    inputs = {tensor.name: tensor for tensor in graph.inputs}
    for name, kind, control in kinds(batching):
        if name not in inputs:
            yield Problem(
                "sequence-control",
                f"{kind} is sent to {name!r}, and the graph has no such input",
                "Triton refuses it: the 'model does not provide that input'",
                near_misses(name, inputs, "inputs") or "name one of the graph's inputs, or take the control out",
            )
        else:
            yield from _against(kind, control, inputs[name], batching=config.max_batch_size > 0)
    yield from _counted_twice(config)


def _against(kind: str, control: Any, tensor: GraphTensor, *, batching: bool) -> Iterator[Problem]:
    dims = tensor.dims[1:] if batching else tensor.dims
    expected = control_type(kind, control)
    if dims != (1,):
        batch = " behind the batch" if batching else ""
        yield Problem(
            "sequence-control",
            f"{kind} is sent to {tensor.name!r}, which is {list(tensor.dims)} in the graph",
            f"Triton refuses it: 'dims [1] is expected'{batch}",
            f"export the model with a control input of [1]{batch}",
        )
    elif tensor.datatype != expected:
        yield Problem(
            "sequence-control",
            f"{kind} sends {expected} to {tensor.name!r}, which is {tensor.datatype} in the graph",
            "Triton refuses it: 'the model expects data-type …'",
            _fix(kind, tensor),
        )


_FIELDS = {
    "TYPE_INT32": "int32_false_true: [ 0, 1 ]",
    "TYPE_FP32": "fp32_false_true: [ 0, 1 ]",
    "TYPE_BOOL": "bool_false_true: [ false, true ]",
}


def _fix(kind: str, tensor: GraphTensor) -> str:
    field = _FIELDS.get(tensor.datatype or "")
    if kind == ID_KIND:
        is_possible = tensor.datatype in ID_TYPES
        return f"write data_type: {tensor.datatype}" if is_possible else "export the model with an ID of INT64"
    return f"write {field}" if field else "export the model with a control input of INT32, FP32 or BOOL"


def _counted_twice(config: ModelConfig) -> Iterator[Problem]:
    """The backend counts inputs, controls and states, and compares the sum with the graph's inputs."""
    batching = config.sequence_batching
    controls = [(name, kind) for name, kind, _ in kinds(batching)]
    roles = Counter({tensor.name: 1 for tensor in config.input if not tensor.optional})
    roles.update(name for name, _ in controls)
    roles.update(state.input_name for state in batching.state)
    for name in sorted({name for name, _ in controls}):
        if roles[name] > 1:
            yield Problem(
                "sequence-control",
                f"{name!r} is listed for several purposes: as an input, a control, or a state",
                "Triton refuses it: 'configuration expects … inputs, model provides …', as each purpose counts",
                "list it once, and give each control an input of its own",
            )
