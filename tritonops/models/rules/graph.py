"""A config against its ONNX graph: what the ONNX Runtime backend refuses.

The rules are those of NVIDIA's onnxruntime.cc (ValidateInputs, ValidateOutputs) and backend_common.cc
(CompareDimsSupported).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tritonops.errors import GraphError, near_misses
from tritonops.models.configs.onnx_graph import Graph, GraphTensor, read_graph
from tritonops.models.configs.pbtxt import ModelConfig, type_name
from tritonops.models.rules.config import effective_backend, served_versions
from tritonops.models.rules.files import graph_file
from tritonops.models.rules.finding import Problem, Subject
from tritonops.models.rules.judged_server import JudgedServer


def graph_problems(subject: Subject) -> Iterator[Problem]:
    """Compare a config with the graph of each version that Triton would serve."""
    if subject.is_ensemble or effective_backend(subject) != "onnxruntime":
        return
    yield from _parameters(subject.config)
    found = {
        version: list(_version(subject, path))
        for version in served_versions(subject)
        if (path := graph_file(subject, version)) is not None and path.is_file()
    }
    for version, problems in found.items():
        for problem in problems:
            is_of_all = all(problem in others for others in found.values())
            yield problem if is_of_all else replace(problem, what=f"version {version}: {problem.what}")


def _version(subject: Subject, path: Path) -> Iterator[Problem]:
    try:
        graph = read_graph(path)
    except GraphError as exc:
        yield Problem("not-onnx", str(exc), "ONNX Runtime cannot load it", "download it again: `inv models.download`")
        return
    yield from _runtime(graph, path, subject.server, subject.config)
    yield from _external_data(graph, path)
    yield from _inputs(subject.config, graph)
    yield from _outputs(subject.config, graph)
    yield from _states(subject.config, graph)


def _runtime(graph: Graph, path: Path, server: JudgedServer, config: ModelConfig) -> Iterator[Problem]:
    runtime = server.onnxruntime
    export = "export the model again with an older version, or serve it with a newer TRITON_IMAGE"
    if runtime and graph.ir_version > runtime.ir_version:
        yield Problem(
            "ir-too-new",
            f"{path} has IR version {graph.ir_version}; ONNX Runtime {runtime.version} of {server.name} reads "
            f"up to {runtime.ir_version}",
            "ONNX Runtime refuses it: 'Unsupported model IR version'",
            export,
        )
    opset = graph.opsets.get("", 0)
    if runtime and opset > runtime.opset:
        yield Problem(
            "opset-too-new",
            f"{path} has opset {opset}; ONNX Runtime {runtime.version} of {server.name} reads up to {runtime.opset}",
            "ONNX Runtime refuses it: 'only guarantees support for … official released opset versions'",
            export,
        )
    unknown = [domain for domain in graph.opsets if domain not in _DOMAINS]
    if unknown and not config.model_operations.op_library_filename:
        yield Problem(
            "unknown-domain",
            f"{path} uses operators of {', '.join(unknown)}",
            "ONNX Runtime refuses it, unless a library registers them: 'is not a registered function/op'",
            "name the library in `model_operations { op_library_filename }`",
        )


_DOMAINS = {
    *("", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft", "com.microsoft.nchwc"),
    *("com.microsoft.experimental", "com.microsoft.dml", "com.ms.internal.nhwc", "org.pytorch.aten"),
}


def _external_data(graph: Graph, path: Path) -> Iterator[Problem]:
    for data in graph.external_data:
        file = path.parent / data.location
        size = file.stat().st_size if file.is_file() else None
        if size is None or size < (data.end or 0):
            yield Problem(
                "external-data-missing",
                f"{file} contains weights of {path.name} and is "
                + ("not there" if size is None else f"cut short: {size} bytes of {data.end}"),
                "ONNX Runtime cannot load the model without its weights",
                'make the entry in models.toml a directory (type = "directory"), so that all files come',
            )
            return


def _inputs(config: ModelConfig, graph: Graph) -> Iterator[Problem]:
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
    for input_ in config.input:
        if input_.optional and batching:
            yield Problem(
                "optional-with-batching",
                f"input {input_.name!r} is optional, and `max_batch_size` is above 0",
                "Triton refuses it: 'not supported for models that support batching'",
                "write max_batch_size: 0, or make the input no longer optional",
            )
        elif input_.allow_ragged_batch:
            yield from _ragged(input_, tensors)
        else:
            yield from _tensor("input", input_, tensors, batching=batching)


def _outputs(config: ModelConfig, graph: Graph) -> Iterator[Problem]:
    tensors = {tensor.name: tensor for tensor in graph.outputs}
    scattered = {name for tensor in config.batch_output for name in tensor.target_name}
    for tensor in config.output:
        if tensor.name not in scattered:
            yield from _tensor("output", tensor, tensors, batching=config.max_batch_size > 0)


def _states(config: ModelConfig, graph: Graph) -> Iterator[Problem]:
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


def _tensor(kind: str, declared: Any, tensors: dict[str, GraphTensor], *, batching: bool) -> Iterator[Problem]:
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
    else:
        yield from _shape(kind, declared, tensor, batching=batching)


def _shape(kind: str, declared: Any, tensor: GraphTensor, *, batching: bool) -> Iterator[Problem]:
    dims = list(declared.reshape.shape if declared.HasField("reshape") else declared.dims)
    if not tensor.dims:
        if any(dim != 1 for dim in dims):
            yield _shape_problem(kind, tensor, dims, batching=False)
    elif batching and tensor.dims[0] != -1:
        yield Problem(
            "batch-dimension",
            f"the graph's {kind} {tensor.name!r} has the shape {list(tensor.dims)}: its batch is fixed",
            "Triton refuses it: 'for the model to support batching … the first dimension must be -1'",
            f"write max_batch_size: 0 and dims: {list(tensor.dims)}, or export it with a batch that varies",
        )
    elif not _fits([-1, *dims] if batching else dims, tensor.dims, exact=kind == "output"):
        yield _shape_problem(kind, tensor, dims, batching=batching)


def _fits(declared: Sequence[int], shape: Sequence[int], *, exact: bool) -> bool:
    """The config may fix a dimension of an input that varies in the graph; one of an output it may not."""
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
    return f'{{ name: "{tensor.name}" data_type: {tensor.datatype} {_dims(tensor, batching=batching)} }}'


def _ragged(declared: Any, tensors: dict[str, GraphTensor]) -> Iterator[Problem]:
    tensor = tensors.get(declared.name)
    if tensor is None or tensor.dims != (-1,):
        yield Problem(
            "ragged-shape",
            f"input {declared.name!r} allows ragged batches, and the graph's shape is not [-1]",
            "Triton refuses it: 'configuration expects model provides input with shape [-1] for ragged input'",
            "take allow_ragged_batch out",
        )


def _parameters(config: ModelConfig) -> Iterator[Problem]:
    for name in ("intra_op_thread_count", "inter_op_thread_count", "execution_mode"):
        value = config.parameters[name].string_value if name in config.parameters else "0"
        if not value.lstrip("-").isdigit() or (name == "execution_mode" and value not in ("0", "1")):
            yield Problem(
                "bad-parameter",
                f"parameter {name!r} is {value!r}",
                "the backend refuses it: 'failed to convert', or 'invalid configuration value'",
                "write 0 or 1" if name == "execution_mode" else "write a whole number; 0 lets ONNX Runtime choose",
            )
