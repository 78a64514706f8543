"""The tensors that a config declares, by themselves: names, types, dims, reshapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from math import prod
from typing import Any

from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.rules.finding import Problem

_FORMATS_OF_THREE = (1, 2)
"""FORMAT_NHWC and FORMAT_NCHW."""


def tensor_problems(
    config: ModelConfig, *, batching: bool | None = None, counts_inputs: bool = True
) -> Iterator[Problem]:
    """Find what Triton's core refuses about declared tensors, but for what they lack.

    `batching` says whether the model takes batches once the config is complete, `counts_inputs` whether its backend
    compares the number of inputs with the model's.
    """
    batching = config.max_batch_size > 0 if batching is None else batching
    for kind, tensors in (("input", config.input), ("output", config.output)):
        for tensor in tensors:
            yield from _tensor(kind, tensor, config, batching=batching)
        yield from _twice(kind, tensors, is_counted=kind == "input" and counts_inputs)


def incomplete_tensors(config: ModelConfig, *, why: str = "", leave_out: str = "") -> Iterator[Problem]:
    """Find what is missing in declared tensors; `why` says why nobody adds it, `leave_out` is another way to fix it."""
    for kind, tensors in (("input", config.input), ("output", config.output)):
        for tensor in tensors:
            where = f"{kind} {tensor.name!r}" if tensor.name else f"an {kind}"
            fix = leave_out.format(kind=kind)
            if not tensor.name:
                yield _lacks(where, "name", "name it as the model does", "")
            if not tensor.data_type:
                yield _lacks(where, "data_type", f"give it, as in TYPE_FP32{fix}", why)
            if not tensor.dims:
                yield _lacks(where, "dims", f"give them, as in [ 3 ]{fix}", why)


def _lacks(where: str, field: str, fix: str, why: str) -> Problem:
    code = f"tensor-without-{field.removeprefix('data_')}"
    return Problem(code, f"{where} has no `{field}`", f"Triton refuses it: it 'must specify {field!r}'{why}", fix)


def _twice(kind: str, tensors: Any, *, is_counted: bool) -> Iterator[Problem]:
    labels = Counter(tensor.name for tensor in tensors if kind == "output" and tensor.label_filename)
    for name, count in Counter(tensor.name for tensor in tensors).items():
        is_refused = is_counted or labels[name] > 1
        served = "every request fails: 'expected … inputs but got …'" if kind == "input" else "one of them counts"
        if count > 1:
            yield Problem(
                "tensor-twice",
                f"{kind} {name!r} stands there {count} times",
                "Triton refuses it: an input counts twice, and an output may not have 'multiple label files'"
                if is_refused
                else f"Triton serves the model, and {served}",
                "take one of them out",
                "error" if is_refused else "warning",
            )


def _tensor(kind: str, tensor: Any, config: ModelConfig, *, batching: bool) -> Iterator[Problem]:
    where = f"{kind} {tensor.name!r}" if tensor.name else f"an {kind}"
    shapes = [*tensor.dims, *(tensor.reshape.shape if tensor.HasField("reshape") else ())]
    if bad := [dim for dim in shapes if dim < 1 and dim != -1]:
        yield Problem(
            "bad-dimension",
            f"{where} has a dimension of {bad[0]}",
            "Triton refuses it: a dimension 'must be integer >= 1, or -1'",
            "write the size, or -1 where it varies",
        )
    elif tensor.HasField("reshape") and tensor.dims:
        yield from _reshape(where, tensor, batching=batching)
    if kind == "input" and tensor.format in _FORMATS_OF_THREE and tensor.dims and len(tensor.dims) != 3:
        yield Problem(
            "format-dims",
            f"{where} has a `format` and {len(tensor.dims)} dims",
            "Triton refuses it: 'NHWC/NCHW require 3 dims'",
            "take `format` out; the ONNX Runtime backend does not use it",
        )


def _reshape(where: str, tensor: Any, *, batching: bool) -> Iterator[Problem]:
    dims, shape = list(tensor.dims), list(tensor.reshape.shape)
    if not shape and not batching:
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
