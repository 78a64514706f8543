"""Ensembles: the wiring of an ensemble, and each step against the model that it names.

The rules are those of the core's ValidateEnsembleSchedulingConfig and ensemble_utils.cc.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tritonops.errors import near_misses
from tritonops.models.configs.pbtxt import ModelConfig, type_name
from tritonops.models.configs.version_policy import VersionPolicy
from tritonops.models.rules.finding import Problem, Subject

_REFUSED = "Triton refuses the ensemble"


def ensemble_problems(subject: Subject) -> Iterator[Problem]:
    """Find what is wrong with an ensemble; nothing in any other model."""
    if not subject.is_ensemble:
        return
    config = subject.config
    wiring = list(_form(config)) or list(_wires(config))
    for what in wiring:
        yield Problem("ensemble-wiring", what, _REFUSED, "see Triton's page on ensemble models")
    for step in config.ensemble_scheduling.step if not wiring else ():
        yield from _step(subject, step)


def _form(config: ModelConfig) -> Iterator[str]:
    if config.platform != "ensemble":
        yield f"`ensemble_scheduling` stands in a model whose `platform` is {config.platform!r}"
    if config.backend:
        yield f"an ensemble has no `backend`, and this one has {config.backend!r}"
    for field in ("instance_group", "model_warmup"):
        if len(getattr(config, field)):
            yield f"an ensemble has no `{field}`"
    if config.HasField("optimization"):
        yield "an ensemble has no `optimization`"
    if not config.ensemble_scheduling.step:
        yield "the ensemble has no `step`"


def _wires(config: ModelConfig) -> Iterator[str]:
    """Every tensor is written once, everything written is read, and every output can be reached."""
    inputs = [tensor.name for tensor in config.input]
    outputs = {tensor.name for tensor in config.output}
    steps = config.ensemble_scheduling.step
    for number, step in enumerate(steps):
        for field in ("model_name", "input_map", "output_map"):
            if not getattr(step, field):
                yield f"step {number} has no `{field}`"
    read = {name for step in steps for name in step.input_map.values()}
    written = [*inputs, *(name for step in steps for name in step.output_map.values())]
    for name in sorted(set(written)):
        if written.count(name) > 1:
            yield f"tensor {name!r} is written more than once"
        if name not in read and name not in outputs:
            yield f"tensor {name!r} is not used"
    for name in sorted((read | outputs) - _reachable(inputs, steps)):
        yield f"tensor {name!r} is not written, or only after itself"


def _reachable(inputs: list[str], steps: Any) -> set[str]:
    ready = set(inputs)
    for _ in steps:
        for step in steps:
            if set(step.input_map.values()) <= ready:
                ready |= set(step.output_map.values())
    return ready


def _step(subject: Subject, step: Any) -> Iterator[Problem]:
    model = subject.others.get(step.model_name)
    if step.model_name == subject.name or (model and _leads_to(subject.name, model, subject.others)):
        yield Problem(
            "ensemble-circle", f"step {step.model_name!r} leads back to the ensemble", _REFUSED, "break the circle"
        )
    elif model is None:
        yield Problem(
            "ensemble-step-unknown",
            f"there is no model {step.model_name!r} for a step",
            f"{_REFUSED}: it 'contains models that are not available'",
            near_misses(step.model_name, subject.others, "models") or "add the model",
        )
    elif subject.enabled and not model.enabled:
        yield Problem(
            "ensemble-step-disabled",
            f"step {step.model_name!r} is disabled, and the ensemble is not",
            f"{_REFUSED}: it 'contains models that are not available'",
            f"`inv models.enable {step.model_name}`, or `inv models.disable {subject.name}`",
        )
    else:
        yield from _against_model(subject, step, model)


def _leads_to(name: str, model: Subject, others: Mapping[str, Subject], seen: frozenset[str] = frozenset()) -> bool:
    steps = {step.model_name for step in model.config.ensemble_scheduling.step} - seen
    return name in steps or any(_leads_to(name, others[step], others, seen | steps) for step in steps if step in others)


def _against_model(subject: Subject, step: Any, model: Subject) -> Iterator[Problem]:
    config = model.config
    if step.model_version != -1 and (what := _unserved(step, model)):
        yield Problem(
            "ensemble-step-version",
            f"step {step.model_name!r} {what}",
            f"{_REFUSED}: 'required version {step.model_version} is not loaded'",
            "write model_version: -1 for the newest, or choose the served versions: `inv triton.serve`",
        )
    if subject.config.max_batch_size > config.max_batch_size:
        yield Problem(
            "ensemble-batch",
            f"the ensemble's `max_batch_size` is {subject.config.max_batch_size}, that of step {step.model_name!r} is "
            f"{config.max_batch_size}",
            f"{_REFUSED}: it 'allows maximum batch size' beyond that of a model in it",
            "make the ensemble's no larger",
        )
    yield from _mapped("input", subject.config.input, step.model_name, step.input_map, config.input)
    yield from _mapped("output", subject.config.output, step.model_name, step.output_map, config.output)


def _unserved(step: Any, model: Subject) -> str | None:
    """Say why Triton would not have the version that a step asks for; None where it would, or nobody knows."""
    version = step.model_version
    has_zero = model.home is not None and (model.home / "0").is_dir()
    versions = ((0,) if has_zero else ()) + model.versions
    if version == 0 and not has_zero:
        return "has no model_version, or 0, which is not the newest: there is no version 0"
    if version < -1:
        return f"wants version {version}, and no version is negative"
    if not versions:
        return None
    served = (VersionPolicy.of(model.config) or VersionPolicy("latest")).served(versions)
    if version not in versions:
        return f"wants version {version}, which is not on disk"
    if version not in served:
        return f"wants version {version}, and `version_policy` serves {', '.join(map(str, served)) or 'none'}"
    return None


def _mapped(kind: str, own: Any, model: str, mapping: Mapping[str, str], declared: Any) -> Iterator[Problem]:
    theirs, ours = {tensor.name: tensor for tensor in declared}, {tensor.name: tensor for tensor in own}
    for name, ensemble_name in mapping.items():
        if name not in theirs:
            yield _tensor_problem(
                f"step {model!r} has no {kind} {name!r}",
                near_misses(name, theirs, f"{kind}s") or f"the model has no {kind}",
            )
        elif ensemble_name in ours and not _alike(ours[ensemble_name], theirs[name]):
            yield _tensor_problem(
                f"{kind} {ensemble_name!r} of the ensemble is of another type or shape than {name!r} of step {model!r}",
                "declare both alike",
            )
    if kind == "input":
        for name in sorted(name for name, tensor in theirs.items() if name not in mapping and not tensor.optional):
            yield _tensor_problem(f"step {model!r} is not given its input {name!r}", "map a tensor to it")


def _tensor_problem(what: str, fix: str) -> Problem:
    return Problem("ensemble-step-tensor", what, _REFUSED, fix)


def _alike(ours: Any, theirs: Any) -> bool:
    same_rank = len(ours.dims) == len(theirs.dims)
    return (
        type_name(ours) == type_name(theirs)
        and same_rank
        and all(a == b or -1 in (a, b) for a, b in zip(ours.dims, theirs.dims, strict=True))
    )
