"""The steps of an ensemble against the models that they name: there, enabled, in a served version, with its batches.

The rules are those of the core's model_repository_manager.cc, model_lifecycle.cc, and of ValidateEnsembleConfig in
ensemble_utils.cc (r24.10 and r26.04 alike).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tritonops.errors import near_misses
from tritonops.models.configs.version_policy import VersionPolicy
from tritonops.models.rules.completion.completed import complete
from tritonops.models.rules.finding import Problem, Subject

REFUSED = "Triton refuses the ensemble"


def step_problems(subject: Subject, step: Any) -> Iterator[Problem]:
    """Find why a step's model would not be there for the ensemble."""
    if step.model_name in subject.unreadable:
        return
    model = subject.others.get(step.model_name)
    if step.model_name == subject.name or (model and _leads_to(subject.name, model, subject.others)):
        yield Problem(
            "ensemble-circle", f"step {step.model_name!r} leads back to the ensemble", REFUSED, "break the circle"
        )
    elif model is None:
        yield Problem(
            "ensemble-step-unknown",
            f"there is no model {step.model_name!r} for a step",
            f"{REFUSED}: it 'contains models that are not available'",
            near_misses(step.model_name, subject.others, "models") or "add the model",
        )
    elif subject.enabled and not model.enabled:
        yield Problem(
            "ensemble-step-disabled",
            f"step {step.model_name!r} is disabled, and the ensemble is not",
            f"{REFUSED}: it 'contains models that are not available'",
            f"`inv models.enable {step.model_name}`, or `inv models.disable {subject.name}`",
        )
    else:
        yield from _version(step, model)
        yield from _batch(subject, step, model)


def _leads_to(name: str, model: Subject, others: Mapping[str, Subject], seen: frozenset[str] = frozenset()) -> bool:
    steps = {step.model_name for step in model.config.ensemble_scheduling.step} - seen
    return name in steps or any(_leads_to(name, others[step], others, seen | steps) for step in steps if step in others)


def _version(step: Any, model: Subject) -> Iterator[Problem]:
    if step.model_version != -1 and (what := _unserved(step, model)):
        yield Problem(
            "ensemble-step-version",
            f"step {step.model_name!r} {what}",
            f"{REFUSED}: 'required version {step.model_version} is not loaded'",
            "write model_version: -1 for the newest, or choose the served versions: `inv triton.serve`",
        )


def _batch(subject: Subject, step: Any, model: Subject) -> Iterator[Problem]:
    """A step that takes no batches may stand in an ensemble that does, where the shapes say so."""
    largest = complete(model).config.max_batch_size
    if 0 < largest < subject.config.max_batch_size:
        yield Problem(
            "ensemble-batch",
            f"the ensemble's `max_batch_size` is {subject.config.max_batch_size}, that of step {step.model_name!r} is "
            f"{largest}",
            f"{REFUSED}: it 'allows maximum batch size' beyond that of a model in it",
            f"write max_batch_size: {largest} in the ensemble, or less",
        )


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
