"""The tensors that a config declares, by themselves: names, types, dims, reshapes, batch tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from math import prod
from typing import Any

from tritonops.models.configs.pbtxt import ModelConfig, type_name
from tritonops.models.rules.finding import Problem


def tensor_problems(config: ModelConfig) -> Iterator[Problem]:
    """Find what Triton's core refuses about the declared tensors."""
    yield from _tensors(config)
    yield from _batch_tensors(config)


def _tensors(config: ModelConfig) -> Iterator[Problem]:
    for kind, tensors in (("input", config.input), ("output", config.output)):
        for tensor in tensors:
            yield from _tensor(kind, tensor, config)
        for name, count in Counter(tensor.name for tensor in tensors).items():
            if count > 1:
                yield Problem(
                    "tensor-twice",
                    f"{kind} {name!r} stands there {count} times",
                    "an input counts twice, and the model is refused; of an output one counts and the other is ignored",
                    "take one of them out",
                    "error" if kind == "input" else "warning",
                )
    if not config.output:
        yield Problem(
            "no-outputs",
            "no `output` is declared",
            "Triton serves the model, and its responses have no tensors",
            "declare the outputs; `inv models.generate-config` writes them",
            "warning",
        )


def _tensor(kind: str, tensor: Any, config: ModelConfig) -> Iterator[Problem]:
    where = f"{kind} {tensor.name!r}" if tensor.name else f"an {kind}"
    if not tensor.name:
        yield Problem(
            "tensor-without-name", f"{where} has no `name`", _must("specify 'name'"), "name it as the model does"
        )
    if not tensor.data_type:
        yield Problem(
            "tensor-without-type",
            f"{where} has no `data_type`",
            _must("specify 'data_type'"),
            "give it, as in TYPE_FP32",
        )
    if not tensor.dims:
        yield Problem(
            "tensor-without-dims", f"{where} has no `dims`", _must("specify 'dims'"), "give them, as in [ 3 ]"
        )
    shapes = [*tensor.dims, *(tensor.reshape.shape if tensor.HasField("reshape") else ())]
    if bad := [dim for dim in shapes if dim < 1 and dim != -1]:
        yield Problem(
            "bad-dimension",
            f"{where} has a dimension of {bad[0]}",
            "Triton refuses it: a dimension 'must be integer >= 1, or -1'",
            "write the size, or -1 where it varies",
        )
    elif tensor.HasField("reshape"):
        yield from _reshape(where, tensor, config)
    if tensor.is_shape_tensor or tensor.is_non_linear_format_io:
        yield tensorrt_only(f"{where} is a shape tensor, or of a non-linear format", config)
    if kind == "input" and tensor.format and len(tensor.dims) != 3:
        yield Problem(
            "format-dims",
            f"{where} has a `format` and {len(tensor.dims)} dims",
            "Triton refuses it: 'NHWC/NCHW require 3 dims'",
            "take `format` out; the ONNX Runtime backend does not use it",
        )


def _must(what: str) -> str:
    return f"Triton refuses it: it 'must {what}'"


def tensorrt_only(what: str, config: ModelConfig) -> Problem:
    """Word what only a TensorRT model may have."""
    return Problem(
        "tensorrt-only",
        what,
        f"Triton refuses it: that is 'only supported for TensorRT', and this is {config.backend or config.platform!r}",
        "take it out",
    )


def _reshape(where: str, tensor: Any, config: ModelConfig) -> Iterator[Problem]:
    dims, shape = list(tensor.dims), list(tensor.reshape.shape)
    if not shape and config.max_batch_size == 0:
        yield Problem(
            "empty-reshape",
            f"{where} is reshaped to nothing, and the model takes no batches",
            "Triton refuses it: 'scalar tensors are not supported'",
            "write dims: [ 1 ] and no `reshape`",
        )
    elif _pieces(dims) != _pieces(shape):
        yield Problem(
            "reshape-size",
            f"{where} is reshaped from {dims} to {shape}",
            "Triton refuses it: 'has different size for dims and reshape'",
            "between the dimensions that vary, both must have equally many elements",
        )


def _pieces(shape: list[int]) -> list[int]:
    """Count the elements between the dimensions that vary: [2, 4, -1, 6] → [8, 6]."""
    cuts = [-1, *(i for i, dim in enumerate(shape) if dim == -1), len(shape)]
    return [prod(shape[start + 1 : end]) for start, end in pairwise(cuts)]


def _batch_tensors(config: ModelConfig) -> Iterator[Problem]:
    inputs = {tensor.name for tensor in config.input}
    outputs = {tensor.name for tensor in config.output}
    sources = [list(tensor.source_input) for tensor in config.batch_input]
    sources += [list(tensor.source_input) for tensor in config.batch_output]
    for source in sources:
        if not set(source) <= inputs or len(source) != 1:
            yield Problem(
                "batch-tensor-source",
                f"a batch tensor has the sources {source}",
                "Triton refuses it: 'unknown source input name', or 'expects 1 source input'",
                "name one of the inputs",
            )
    for tensor in config.batch_input:
        if type_name(tensor) not in ("TYPE_INT32", "TYPE_FP32"):
            yield Problem(
                "batch-tensor-type",
                f"batch input {', '.join(tensor.target_name)!r} is of another type than INT32 and FP32",
                "Triton refuses it: 'batch input data type must be TYPE_INT32 or TYPE_FP32'",
                "write one of the two",
            )
    for output in config.batch_output:
        if not set(output.target_name) <= outputs:
            yield Problem(
                "batch-tensor-target",
                f"a batch output has the targets {list(output.target_name)}",
                "Triton refuses it: 'unknown target output name'",
                "name one of the outputs",
            )
