"""Decoupled steps of an ensemble: their answers come one by one, and cannot be joined with those of another such step.

The rules are those of ValidateEnsembleConfig in the core's ensemble_utils.cc (r24.10 and r26.04 alike).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tritonops.models.rules.completion.completed import complete
from tritonops.models.rules.finding import Subject


@dataclass
class _Step:
    """A step, and the label that its outputs share once the first of them is reached."""

    name: str
    is_decoupled: bool
    label: int | None = None


@dataclass(eq=False)
class _Tensor:
    """A tensor in the flow of data. Its label is the decoupled step that its number of answers comes from, or 0."""

    step: _Step
    label: int = 0
    is_reached: bool = False
    before: list[_Tensor] = field(default_factory=list)
    after: list[_Tensor] = field(default_factory=list)

    def lead_to(self, other: _Tensor) -> None:
        self.after.append(other)
        other.before.append(self)


class _UnknownStepError(Exception):
    """A step of which nobody can say whether it is decoupled."""


class _ConflictError(Exception):
    """Tensors of two decoupled steps that meet; `args[0]` says where."""


def decoupled_mistake(subject: Subject) -> str | None:
    """Say where tensors of different decoupled steps meet; None where they do not, or nobody knows."""
    try:
        _labels(subject)
    except _ConflictError as exc:
        return str(exc)
    except _UnknownStepError:
        pass
    return None


def _labels(ensemble: Subject, within: frozenset[str] = frozenset()) -> int:
    """Follow the data through an ensemble; give the number of decoupled branches in it."""
    tensors = _linked(ensemble, within)
    count = 0
    reached = deque(tensors[tensor.name] for tensor in ensemble.config.input if tensor.name in tensors)
    for tensor in reached:
        tensor.is_reached = True
    while reached:
        for following in reached.popleft().after:
            if following.is_reached or not all(before.is_reached for before in following.before):
                continue
            labels = {before.label for before in following.before}
            if len(labels) > 1:
                where = f"step {following.step.name!r} reads" if following.step.name else "the outputs are"
                raise _ConflictError(f"{where} tensors that come from different decoupled steps")
            if following.step.label is None:
                count += following.step.is_decoupled
                following.step.label = count if following.step.is_decoupled else labels.pop()
            following.label, following.is_reached = following.step.label, True
            reached.append(following)
    return count


def _linked(ensemble: Subject, within: frozenset[str]) -> dict[str, _Tensor]:
    tensors: dict[str, _Tensor] = {}
    source, sink = _Step("", is_decoupled=False), _Tensor(_Step("", is_decoupled=False))
    for step in ensemble.config.ensemble_scheduling.step:
        for name in (*step.input_map.values(), *step.output_map.values()):
            tensors.setdefault(name, _Tensor(source))
        current = _Step(step.model_name, is_decoupled=_is_decoupled(ensemble, step.model_name, within))
        for name in step.output_map.values():
            tensors[name].step = current
            for read in step.input_map.values():
                tensors[read].lead_to(tensors[name])
    for output in ensemble.config.output:
        if output.name in tensors:
            tensors[output.name].lead_to(sink)
    return tensors


def _is_decoupled(ensemble: Subject, name: str, within: frozenset[str]) -> bool:
    model = ensemble.others.get(name)
    if model is None or name in within or name == ensemble.name:
        raise _UnknownStepError
    if model.is_ensemble:
        nested = Subject(name, model.config, model.home, model.versions, model.server, others=ensemble.others)
        return _labels(nested, within | {ensemble.name}) > 0
    completed = complete(model)
    if not completed.lists_known and not completed.config.model_transaction_policy.decoupled:
        raise _UnknownStepError
    return bool(completed.config.model_transaction_policy.decoupled)
