"""The tensors of a config against those of its graph: names, types, shapes.

The rules are those of NVIDIA's onnxruntime.cc (ValidateInputs, ValidateOutputs) and backend_common.cc
(CompareDimsSupported).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tritonops.errors import near_misses
from tritonops.models.configs.pbtxt import ModelConfig, escaped, type_name
from tritonops.models.graphs.onnx_graph import Graph, GraphTensor
from tritonops.models.rules.finding import Problem


def input_problems(config: ModelConfig, graph: Graph, *, is_inferred: bool) -> Iterator[Problem]:
    """Compare the inputs; `is_inferred` says whether the shapes are those that ONNX Runtime infers."""
    batching = config.max_batch_size > 0
    tensors = {tensor.name: tensor for tensor in (*graph.inputs, *graph.optional_inputs)}
    extra = {tensor.name for tensor in config.sequence_batching.control_input}
    extra |= {state.input_name for state in config.sequence_batching.state}
    extra |= {name for tensor in config.batch_input for name in tensor.target_name}
    declared = {tensor.name for tensor in config.input} | extra
    for tensor in graph.inputs:
        if tensor.name not in declared:
            yield Problem(
                "input-missing",
                f"the graph needs input {tensor.name!r}, which the config does not declare",
                "Triton refuses it: 'configuration expects … inputs, model provides …'",
                f"add {_written(tensor, batching=batching)}",
            )
    required, optional = ({each.name for each in each_kind} for each_kind in (graph.inputs, graph.optional_inputs))
    for input_ in config.input:
        if input_.name in optional and not input_.optional:
            yield Problem(
                "default-required",
                f"the graph has a default for input {input_.name!r}, and the config does not call it optional",
                "Triton refuses it: 'configuration expects … inputs, model provides …'",
                "write optional: true, or leave the input out",
            )
        elif input_.optional and batching:
            yield Problem(
                "optional-with-batching",
                f"input {input_.name!r} is optional, and `max_batch_size` is above 0",
                "Triton refuses it: 'not supported for models that support batching'",
                "write max_batch_size: 0, or make the input no longer optional",
            )
        elif input_.optional and input_.name in required:
            yield Problem(
                "no-default",
                f"input {input_.name!r} is optional, and the graph has no default for it",
                "Triton refuses it: 'configuration expects … inputs, model provides …'",
                "take `optional` out, or export the model with a default",
            )
        elif input_.allow_ragged_batch:
            yield from _ragged(input_, tensors)
        else:
            yield from _tensor("input", input_, tensors, batching=batching, is_inferred=is_inferred)


def output_problems(config: ModelConfig, outputs: Sequence[GraphTensor], *, is_inferred: bool) -> Iterator[Problem]:
    """Compare the outputs; `is_inferred` says whether the shapes are those that ONNX Runtime infers."""
    tensors = {tensor.name: tensor for tensor in outputs}
    scattered = {name for tensor in config.batch_output for name in tensor.target_name}
    for tensor in config.output:
        if tensor.name not in scattered:
            batching = config.max_batch_size > 0
            yield from _tensor("output", tensor, tensors, batching=batching, is_inferred=is_inferred)


def state_problems(config: ModelConfig, graph: Graph) -> Iterator[Problem]:
    """The state of a sequence comes back as an input of the next request. NVIDIA's backend only counts the inputs."""
    inputs = {tensor.name: tensor for tensor in (*graph.inputs, *graph.optional_inputs)}
    outputs = {tensor.name: tensor for tensor in graph.outputs}
    for state in config.sequence_batching.state:
        for kind, name, tensors in (("input", state.input_name, inputs), ("output", state.output_name, outputs)):
            if what := _state(kind, name, state, tensors.get(name), batching=config.max_batch_size > 0):
                yield Problem(
                    "sequence-state",
                    f"`state` {what}",
                    "Triton refuses the model, or serves it and every request fails",
                    near_misses(name, tensors, "tensors")
                    if name not in tensors
                    else "declare the state as the graph has it",
                )


def _state(kind: str, name: str, state: Any, tensor: GraphTensor | None, *, batching: bool) -> str | None:
    if tensor is None:
        return f"names {kind} {name!r}, which the graph does not have"
    if tensor.datatype != type_name(state):
        return f"has {type_name(state)} for {kind} {name!r}, which is {tensor.datatype} in the graph"
    dims, shape = list(state.dims), list(tensor.dims[1:] if batching else tensor.dims)
    if tensor.shape is not None and not _is_alike(dims, shape):
        return f"has dims {dims} for {kind} {name!r}, which is {list(tensor.dims)} in the graph"
    return None


def _is_alike(dims: Sequence[int], shape: Sequence[int]) -> bool:
    return len(dims) == len(shape) and all(a == b or -1 in (a, b) for a, b in zip(dims, shape, strict=True))


def _tensor(
    kind: str, declared: Any, tensors: dict[str, GraphTensor], *, batching: bool, is_inferred: bool
) -> Iterator[Problem]:
    tensor = tensors.get(declared.name)
    if tensor is None:
        yield Problem(
            "tensor-unknown",
            f"the graph has no {kind} {declared.name!r}",
            f"Triton refuses it: 'unexpected inference {kind}'",
            near_misses(declared.name, tensors, "tensors"),
        )
    elif tensor.datatype != type_name(declared):
        fix = f"write data_type: {tensor.datatype}" if tensor.datatype else "export the model with tensors only"
        yield Problem(
            "tensor-type",
            f"{kind} {tensor.name!r} is {tensor.datatype or 'no tensor of a type that Triton has'} in the graph, "
            f"{type_name(declared)} in the config",
            "Triton refuses it: 'configuration expects datatype …, model provides …'",
            fix,
        )
    elif tensor.shape is not None or is_inferred:
        yield from _shape(kind, declared, tensor, batching=batching, exact=is_inferred and kind == "output")


def _shape(kind: str, declared: Any, tensor: GraphTensor, *, batching: bool, exact: bool) -> Iterator[Problem]:
    """Compare a shape as Triton does; one that ONNX Runtime does not know is a scalar's to it."""
    dims = list(declared.reshape.shape if declared.HasField("reshape") else declared.dims)
    if 0 in tensor.dims:
        yield Problem(
            "zero-dimension",
            f"the graph's {kind} {tensor.name!r} has the shape {list(tensor.dims)}",
            "Triton has no dimension of 0, whatever the config says",
            "export the model without that tensor, or with a dimension that varies",
        )
    elif not tensor.dims:
        if any(dim != 1 for dim in dims):
            yield _shape_problem(kind, tensor, dims, batching=False)
    elif batching and tensor.dims[0] != -1:
        yield Problem(
            "batch-dimension",
            f"the graph's {kind} {tensor.name!r} has the shape {list(tensor.dims)}: its batch is fixed",
            "Triton refuses it: 'for the model to support batching … the first dimension must be -1'",
            f"write max_batch_size: 0 and dims: {list(tensor.dims)}, or export it with a batch that varies",
        )
    elif not _fits([-1, *dims] if batching else dims, tensor.dims, exact=exact):
        yield _shape_problem(kind, tensor, dims, batching=batching)


def _fits(declared: Sequence[int], shape: Sequence[int], *, exact: bool) -> bool:
    """The config may fix a dimension of an input that varies in the graph; one of an output only if the file alone
    says that it varies, since ONNX Runtime may know its size.
    """
    return len(declared) == len(shape) and all(
        ours == theirs or (theirs == -1 and not exact) for ours, theirs in zip(declared, shape, strict=True)
    )


def _shape_problem(kind: str, tensor: GraphTensor, dims: Sequence[int], *, batching: bool) -> Problem:
    batch = ", and Triton puts the batch in front of these" if batching else ""
    return Problem(
        "tensor-shape",
        f"{kind} {tensor.name!r} is {list(tensor.dims)} in the graph and has dims {list(dims)} in the config{batch}",
        "Triton refuses it: 'the model expects … dimensions but the model configuration specifies …'",
        f"write {_dims(tensor, batching=batching)}",
    )


def _dims(tensor: GraphTensor, *, batching: bool) -> str:
    dims = list(tensor.dims[1:] if batching else tensor.dims)
    return f"dims: {dims or [1]}"


def _written(tensor: GraphTensor, *, batching: bool) -> str:
    return f'{{ name: "{escaped(tensor.name)}" data_type: {tensor.datatype} {_dims(tensor, batching=batching)} }}'


def _ragged(declared: Any, tensors: dict[str, GraphTensor]) -> Iterator[Problem]:
    tensor = tensors.get(declared.name)
    if tensor is None or tensor.dims != (-1,):
        yield Problem(
            "ragged-shape",
            f"input {declared.name!r} allows ragged batches, and the graph's shape is not [-1]",
            "Triton refuses it: 'configuration expects model provides input with shape [-1] for ragged input'",
            "take allow_ragged_batch out",
        )
