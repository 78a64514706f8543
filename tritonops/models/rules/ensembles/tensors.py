"""The tensors between the steps of an ensemble: each has one type and one shape, wherever it is written and read.

The rules are those of ValidateTensorMapping and ValidateTensorConsistency in the core's ensemble_utils.cc (r24.10 and
r26.04 alike): a tensor is what its first use says it is, and each later use is compared with that. A shape may agree
without the batch, or with it: a step that takes no batches then has the batch among its dims.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tritonops.errors import near_misses
from tritonops.models.configs.pbtxt import type_name
from tritonops.models.rules.completion.completed import Completed, complete
from tritonops.models.rules.finding import Subject

_Shape = tuple[int, ...]


class TensorMistake(NamedTuple):
    """Two uses of a tensor that do not agree, or a use of one that a step does not have."""

    what: str
    fix: str
    fails_for_batches: bool = False
    """Whether Triton serves the ensemble, and only requests of several rows fail."""


@dataclass(frozen=True)
class _Use:
    """What one user of a tensor says it is."""

    user: str
    datatype: str | None
    """None where it is left to the server to complete."""
    dims: _Shape | None
    batching: bool | None
    """None where nobody knows whether the user takes batches."""

    @property
    def full_dims(self) -> frozenset[_Shape]:
        """The shape with the batch; both ways where nobody knows."""
        if self.dims is None:
            return frozenset()
        with_batch, without = {(-1, *self.dims)}, {self.dims}
        return frozenset(with_batch if self.batching else without if self.batching is False else with_batch | without)

    @classmethod
    def of(cls, user: str, tensor: Any, dims: Any, *, batching: bool | None) -> _Use:
        datatype = type_name(tensor) if tensor.data_type else None
        return cls(user, datatype, tuple(dims) or None, batching)


def tensor_mistakes(subject: Subject) -> Iterator[TensorMistake]:
    """Compare each use of a tensor with its first one: by the ensemble itself, then by its steps."""
    config, uses = subject.config, dict[str, _Use]()
    own: list[Any] = [*config.input, *config.output]
    for tensor in own:
        dims = tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims
        use = _Use.of("the ensemble", tensor, dims, batching=config.max_batch_size > 0)
        uses.setdefault(tensor.name, use)
    for step in config.ensemble_scheduling.step:
        model = subject.others.get(step.model_name)
        if model is not None and step.model_name != subject.name:
            yield from _of_step(step, complete(model), uses)


def _of_step(step: Any, model: Completed, uses: dict[str, _Use]) -> Iterator[TensorMistake]:
    inputs, outputs = model.config.input, model.config.output
    yield from _mapped("input", step.model_name, step.input_map, inputs, uses, model)
    for name in sorted(tensor.name for tensor in inputs if tensor.name not in step.input_map and not tensor.optional):
        yield TensorMistake(f"step {step.model_name!r} is not given its input {name!r}", "map a tensor to it")
    yield from _mapped("output", step.model_name, step.output_map, outputs, uses, model)


def _mapped(
    kind: str, step: str, mapping: Mapping[str, str], declared: Any, uses: dict[str, _Use], model: Completed
) -> Iterator[TensorMistake]:
    tensors = {tensor.name: tensor for tensor in declared}
    batching = model.config.max_batch_size > 0 if model.batch_known else None
    for name, ensemble_name in sorted(mapping.items()):
        tensor = tensors.get(name)
        if tensor is not None:
            use = _Use.of(f"{kind} {name!r} of step {step!r}", tensor, tensor.dims, batching=batching)
            first = uses.setdefault(ensemble_name, use)
            yield from _compared(ensemble_name, first, use)
            if kind == "input" and _takes_one_row(first, use):
                yield TensorMistake(
                    f"tensor {ensemble_name!r} has a batch, and {use.user} has dims {list(tensor.dims)} and none",
                    "give the step's model a max_batch_size, or dims with the batch in front: [ -1, … ]",
                    fails_for_batches=True,
                )
        elif model.lists_known:
            yield TensorMistake(
                f"step {step!r} has no {kind} {name!r}",
                near_misses(name, tensors, f"{kind}s") or f"the model has no {kind}",
            )


def _compared(name: str, first: _Use, other: _Use) -> Iterator[TensorMistake]:
    if first.datatype and other.datatype and first.datatype != other.datatype:
        yield TensorMistake(
            f"tensor {name!r} is {first.datatype} for {first.user}, and {other.datatype} for {other.user}",
            "let both have one data_type",
        )
    elif not _agree(first, other):
        yield TensorMistake(
            f"tensor {name!r} has the shape {_written(first)} for {first.user}, and {_written(other)} for {other.user}",
            "let both have one shape, the batch included; -1 agrees with any size",
        )


def _takes_one_row(first: _Use, other: _Use) -> bool:
    """Whether the shapes agree only without the batch, which Triton then does not hand to the step."""
    if not first.batching or other.batching is not False or first.dims is None or other.dims is None:
        return False
    return _fits(first.dims, other.dims) and not _full_dims_fit(first, other)


def _agree(first: _Use, other: _Use) -> bool:
    if first.dims is None or other.dims is None or _fits(first.dims, other.dims):
        return True
    return _full_dims_fit(first, other)


def _full_dims_fit(first: _Use, other: _Use) -> bool:
    return any(_fits(ours, theirs) for ours in first.full_dims for theirs in other.full_dims)


def _fits(ours: _Shape, theirs: _Shape) -> bool:
    return len(ours) == len(theirs) and all(a == b or -1 in (a, b) for a, b in zip(ours, theirs, strict=True))


def _written(use: _Use) -> str:
    return " or ".join(str(list(shape)) for shape in sorted(use.full_dims))
