"""Ensembles: what Triton's core refuses of them."""

from __future__ import annotations

from collections.abc import Iterator

from tritonops.models.rules.ensembles.decoupling import decoupled_mistake
from tritonops.models.rules.ensembles.steps import REFUSED, step_problems
from tritonops.models.rules.ensembles.tensors import tensor_mistakes
from tritonops.models.rules.ensembles.wiring import form_mistakes, wiring_mistakes
from tritonops.models.rules.finding import Problem, Subject


def ensemble_problems(subject: Subject) -> Iterator[Problem]:
    """Find what is wrong with an ensemble; nothing in any other model."""
    if not subject.is_ensemble:
        return
    wiring = list(form_mistakes(subject.config)) or list(wiring_mistakes(subject.config))
    for what in wiring:
        yield Problem("ensemble-wiring", what, REFUSED, "see Triton's page on ensemble models")
    if wiring:
        return
    steps: dict[tuple[str, str], Problem] = {}
    for step in subject.config.ensemble_scheduling.step:  # a model may stand in several steps, and is wrong once
        steps |= {(problem.code, problem.what): problem for problem in step_problems(subject, step)}
    yield from steps.values()
    for mistake in tensor_mistakes(subject):
        if not mistake.fails_for_batches:
            yield Problem("ensemble-step-tensor", mistake.what, REFUSED, mistake.fix)
        elif subject.config.max_batch_size > 1:
            why = "Triton serves the ensemble, and every request of more than one row fails"
            yield Problem("ensemble-one-row", mistake.what, why, mistake.fix, "warning")
    if branches := decoupled_mistake(subject):
        yield Problem(
            "ensemble-decoupled",
            branches,
            f"{REFUSED}: it 'receives inputs originated from different decoupled models'",
            "join only tensors that come from the same decoupled step, or from none",
        )
