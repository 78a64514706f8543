"""The differences between models.toml, the disk and the server, and the actions that remove them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tritonops.errors import DifferenceError, listed

Action = Literal["download", "config", "load", "unload", "remove from serving", "disable", "unchanged", "blocked"]


@dataclass(frozen=True)
class PlannedVersion:
    """One row: a version in models.toml, on disk and on the server, and what apply does to it.

    `version` is None where the row is about the model as a whole, such as its config.
    """

    name: str
    version: int | None
    declared: bool
    """Whether models.toml has it."""
    disk: str | None
    """"installed", "other bytes", "absent" or "disabled"; "unpinned" where models.lock does not say what it is."""
    server: str | None
    """Its state in Triton's index."""
    actions: tuple[Action, ...]
    reason: str | None


@dataclass(frozen=True)
class PlannedModel:
    """All rows of one model, and what its load needs."""

    name: str
    rows: tuple[PlannedVersion, ...]
    config: str | None = None
    """The new text of config.pbtxt; None for no change."""
    config_on_disk: str | None = None
    """The text of config.pbtxt when the plan was made; None for no file."""
    diff: str | None = None
    """From the config on disk to the one of triton-config, or from the served one to the one on disk."""
    steps: tuple[str, ...] = ()
    """An ensemble's component models, and models that this one calls: loaded before it, unloaded after it."""
    is_unrecorded: bool = False
    """Whether it is served without a load record, so that Triton is asked to check its files."""

    def has(self, *actions: Action) -> bool:
        """Whether any row has one of these actions."""
        return any(action in row.actions for row in self.rows for action in actions)

    @property
    def is_different(self) -> bool:
        """Whether any row has a change."""
        return any(row.actions != ("unchanged",) for row in self.rows)

    @property
    def blocked_by(self) -> str | None:
        """Why apply cannot change it; None if it can."""
        return "; ".join(row.reason or "" for row in self.rows if "blocked" in row.actions) or None


@dataclass(frozen=True)
class Plan:
    """Every model of models.toml, of the disk and of the server."""

    models: tuple[PlannedModel, ...]

    @property
    def rows(self) -> list[PlannedVersion]:
        """The rows of all models."""
        return [row for model in self.models for row in model.rows]

    @property
    def different(self) -> list[str]:
        """The models with a change."""
        return [model.name for model in self.models if model.is_different]

    @property
    def pruned(self) -> list[str]:
        """The models to hide from Triton, or to unload although they have no folder."""
        return [model.name for model in self.models if not model.rows[0].declared and model.has("unload", "disable")]


def raise_if_different(plan: Plan, *, command: str = "inv triton.apply") -> None:
    """Raise DifferenceError that names the models with a change; `command` applies them."""
    if plan.different:
        blocked = [model.name for model in plan.models if model.blocked_by]
        hint = f"To apply these changes: {command}"
        if blocked:
            all_ = len(blocked) == len(plan.different)
            hint = f"{'' if all_ else hint + '; '}triton.apply cannot change {listed(blocked)}: see the reasons."
        what = f"{len(plan.different)} of {len(plan.models)} models: {listed(plan.different)}"
        raise DifferenceError(what, hint=hint)
