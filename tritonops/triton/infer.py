"""Run an inference with inputs from a file, or with zeros of the declared shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tritonops.errors import DecoupledModelError, TritonError
from tritonops.triton.client.api_types import ModelMetadata, TensorSpec
from tritonops.triton.client.client import TritonClient
from tritonops.triton.client.response import InferenceResult, OutputTensor
from tritonops.triton.inputs.input_files import read_inputs
from tritonops.triton.inputs.zeros import Shapes, describe_zeros, how_to_give_sizes, zeros
from tritonops.triton.list import naming_unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

INFER_TIMEOUT = 60.0
MAX_RESPONSES = 100


def infer(
    client: TritonClient,
    name: str,
    *,
    version: int | None = None,
    inputs: Path | None = None,
    shapes: Shapes | None = None,
    on_zeros: Callable[[str], None] | None = None,
    timeout: float = INFER_TIMEOUT,
    max_responses: int = MAX_RESPONSES,
    top: int | None = None,
) -> InferenceResult:
    """Run one inference with the tensors of a .json or .npz file, or with zeros.

    Zeros have the sizes of `shapes`, and 1 where the model leaves them open; `on_zeros` is told in one line what they
    are. A decoupled model is asked over the stream, for at most `max_responses`. With `top`, numeric outputs give
    their largest values only. Raises TritonError for a missing or an undeclared output.
    """
    with naming_unknown(client, name):
        metadata = client.metadata(name, version=version)
    tensors = read_inputs(inputs, metadata) if inputs else zeros(metadata, shapes)
    if on_zeros and not inputs and tensors:
        on_zeros(describe_zeros(metadata, tensors))
    try:
        return infer_tensors(
            client, metadata, tensors, version=version, timeout=timeout, max_responses=max_responses, top=top
        )
    except TritonError as exc:
        if not inputs and tensors and type(exc) is TritonError:
            exc.hint = exc.hint or how_to_give_sizes(metadata, shapes)
        raise


def infer_tensors(
    client: TritonClient,
    metadata: ModelMetadata,
    tensors: Mapping[str, NDArray[Any]],
    *,
    version: int | None = None,
    timeout: float = INFER_TIMEOUT,
    max_responses: int = MAX_RESPONSES,
    top: int | None = None,
) -> InferenceResult:
    """Run one inference with arrays."""
    classes = {spec.name: 0 if spec.datatype == "BYTES" else top for spec in metadata.outputs} if top else {}
    try:
        response = client.infer_outputs(metadata.name, tensors, version=version, timeout=timeout, classes=classes)
        inference = InferenceResult((response,))
    except DecoupledModelError:
        inference = client.infer_stream(
            metadata.name, tensors, version=version, timeout=timeout, max_responses=max_responses, classes=classes
        )
    responses = tuple(_in_order(metadata, response) for response in inference.responses)
    undeclared = dict.fromkeys(what for response in responses for what in _undeclared(metadata, response))
    return replace(inference, responses=responses, undeclared=tuple(undeclared))


def _in_order(metadata: ModelMetadata, response: tuple[OutputTensor, ...]) -> tuple[OutputTensor, ...]:
    declared, came = [spec.name for spec in metadata.outputs], {output.name: output for output in response}
    given = ", ".join(came) or "nothing"
    if missing := [name for name in declared if name not in came]:
        raise TritonError(
            f"{metadata.name} answered without output {missing[0]!r}, which it declares; its outputs: {given}"
        )
    if extra := [name for name in came if name not in declared]:
        raise TritonError(f"{metadata.name} answered with output {extra[0]!r}, which it does not declare")
    return tuple(came[name] for name in declared)


def _undeclared(metadata: ModelMetadata, response: tuple[OutputTensor, ...]) -> list[str]:
    """Describe the outputs whose type or shape differs from the declared one."""
    specs = {spec.name: spec for spec in metadata.outputs}
    return [
        f"{output.name} is {output.datatype} {list(output.array.shape)}, and {metadata.name} declares {spec.datatype} "
        f"{list(spec.shape)}"
        for output in response
        if (spec := specs.get(output.name)) and not output.top and not _is_as_declared(output, spec)
    ]


def _is_as_declared(output: OutputTensor, spec: TensorSpec) -> bool:
    shape = output.array.shape
    return (
        output.datatype == spec.datatype
        and len(shape) == len(spec.shape)
        and all(declared in (-1, size) for size, declared in zip(shape, spec.shape, strict=True))
    )
