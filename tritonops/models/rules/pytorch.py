"""What the PyTorch backend refuses of a config, whatever the model in model.pt is.

The rules are those of ValidateInputs, ValidateOutputs, GetNamingConvention and the two for sequence controls in
pytorch's pt/model_instance_state.cc (r26.04), and of ModelConfigDataTypeToTorchType in libtorch_utils.cc.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tritonops.models.configs.pbtxt import ModelConfig, type_name
from tritonops.models.rules.core.effective import effective_backend, effective_platform
from tritonops.models.rules.finding import Problem, Subject
from tritonops.models.rules.sequences.controls import kinds

_UNKNOWN_TYPES = ("TYPE_UINT16", "TYPE_UINT32", "TYPE_UINT64")


def pytorch_problems(subject: Subject) -> Iterator[Problem]:
    """Find types, shapes of strings and names of tensors that the backend does not take."""
    config = subject.config
    if subject.is_ensemble or effective_backend(subject) != "pytorch" or config.runtime == "model.py":
        return
    if effective_platform(subject) != "pytorch_libtorch":
        return
    for kind, tensors in (("input", config.input), ("output", config.output)):
        for tensor in tensors:
            yield from _tensor(kind, tensor, batching=config.max_batch_size > 0)
    for state in config.sequence_batching.state:
        yield from _type("state", state.input_name, type_name(state))
    yield from _names(config)


def _tensor(kind: str, tensor: Any, *, batching: bool) -> Iterator[Problem]:
    yield from _type(kind, tensor.name, type_name(tensor))
    dims = list(tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims)
    if type_name(tensor) == "TYPE_STRING" and len(dims) + batching > 1:
        batch = ", and a batch in front of them" if batching else ""
        yield Problem(
            "pytorch-strings",
            f"{kind} {tensor.name!r} is of strings and has dims {dims}{batch}",
            "the PyTorch backend refuses it: 'Triton only supports 1 dimensional List of String'",
            "with max_batch_size above 0, write dims: [ 1 ] and an empty reshape; with 0, write one dimension",
        )


def _type(kind: str, name: str, datatype: str) -> Iterator[Problem]:
    if datatype in _UNKNOWN_TYPES:
        yield Problem(
            "pytorch-type",
            f"{kind} {name!r} is {datatype}",
            "the PyTorch backend refuses it: 'unsupported datatype'",
            "let the model take or give a type that TorchScript has, as TYPE_INT64",
        )


def _names(config: ModelConfig) -> Iterator[Problem]:
    """Without states, the backend takes tensors by other names in their order; controls it never does."""
    named = [(f"{kind} is sent to", name) for name, kind, _ in kinds(config.sequence_batching)]
    for state in config.sequence_batching.state:
        named += [("a state comes in as", state.input_name), ("a state comes out as", state.output_name)]
    if config.sequence_batching.state:
        named += [(f"beside states, {kind}", tensor.name) for kind, tensor in _tensors(config)]
    for role, name in dict.fromkeys(named):
        if not _has_index(name):
            yield Problem(
                "pytorch-name",
                f"{role} {name!r}, which has no index",
                "the PyTorch backend refuses it: it 'does not follow <name>__<index> naming convention'",
                "name it by the place of its argument or result: START__1",
            )


def _tensors(config: ModelConfig) -> list[tuple[str, Any]]:
    return [*(("input", tensor) for tensor in config.input), *(("output", tensor) for tensor in config.output)]


def _has_index(name: str) -> bool:
    """Whether nothing but digits follows the first pair of underscores."""
    return re.fullmatch("[0-9]*", name.partition("__")[2]) is not None and "__" in name
