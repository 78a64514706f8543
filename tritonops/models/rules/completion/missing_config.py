"""A model without a config.pbtxt: completed from the model itself, or refused.

The rules are those of ModelRepositoryManager::InitializeModelInfo and Model::Init in the core (r26.04).
"""

from __future__ import annotations

from shlex import quote

from tritonops.models.rules.completion.backends import SETS_NO_CONFIG, why_not_completed
from tritonops.models.rules.config import effective_backend
from tritonops.models.rules.finding import Problem, Subject


def missing_config_problem(subject: Subject, *, is_declared: bool) -> Problem:
    """Word what becomes of a model that has no config at all; `subject` has an empty one.

    An entry of models.toml needs one in any case: `inv triton.apply` loads none without.
    """
    fix = _fix(subject, is_declared=is_declared)
    refusal = _refusal(subject)
    if refusal or is_declared:
        why = refusal or "`inv triton.apply` loads no model of models.toml without one"
        return Problem("no-config", "there is no config", why, fix)
    why = f"{subject.server.name} completes one from the model, and guesses the batch and the instances"
    return Problem("no-config", "there is no config", why, fix, "warning")


def _fix(subject: Subject, *, is_declared: bool) -> str:
    name = quote(subject.name)
    generate = f"`inv models.generate-config {name}`"
    if subject.home is None:
        return f"write it, or run `inv models.download --include {name}` and, for an ONNX model, {generate}"
    if effective_backend(subject) != "onnxruntime":
        return "write it"
    if not is_declared:  # `inv models.config` copies none, and says that it is not in models.toml
        return f"write it, or copy one of those that {generate} writes, or add the model: `inv models.add`"
    return f"write it, or let {generate} do it, and `inv models.config {name}`"


def _refusal(subject: Subject) -> str | None:
    if why := why_not_completed(subject):
        return f"Triton refuses a model without one{why}"
    backend = effective_backend(subject)
    if backend is None:
        return "nothing tells Triton which backend the model needs: 'could not determine backend'"
    if backend in SETS_NO_CONFIG:
        return f"{backend} completes no config: 'model configuration is not provided'"
    return None
