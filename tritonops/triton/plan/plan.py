"""How models.toml, the disk and the server differ, and what would make them agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tritonops.errors import DifferenceError

Action = Literal["download", "config", "load", "unload", "remove from serving", "disable", "unchanged", "blocked"]


@dataclass(frozen=True)
class PlannedVersion:
    """One row: a version in models.toml, on disk and on the server, and what is to be done about it.

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
    """All rows of one model, and what a load of it needs to know."""

    name: str
    rows: tuple[PlannedVersion, ...]
    config: str | None = None
    """What config.pbtxt has to become; None where it stays as it is."""
    config_on_disk: str | None = None
    """What config.pbtxt was when the plan was made; None for none."""
    diff: str | None = None
    """From the config on disk to the one of triton-config, or from the served one to the one on disk."""
    steps: tuple[str, ...] = ()
    """The models that an ensemble consists of, and those that a model calls: they come first, and go last."""
    is_unrecorded: bool = False
    """It is served, and nobody noted from which files: Triton is asked to check."""

    def has(self, *actions: Action) -> bool:
        """Whether a row has one of these actions."""
        return any(action in row.actions for row in self.rows for action in actions)

    @property
    def is_different(self) -> bool:
        """Whether anything is to be done."""
        return any(row.actions != ("unchanged",) for row in self.rows)

    @property
    def problem(self) -> str | None:
        """Why it cannot be made so; None where it can."""
        return "; ".join(row.reason or "" for row in self.rows if "blocked" in row.actions) or None


@dataclass(frozen=True)
class Plan:
    """Every model of models.toml, of the disk and of the server."""

    models: tuple[PlannedModel, ...]

    @property
    def rows(self) -> list[PlannedVersion]:
        """The table."""
        return [row for model in self.models for row in model.rows]

    @property
    def different(self) -> list[str]:
        """The models about which something is to be done."""
        return [model.name for model in self.models if model.is_different]

    @property
    def pruned(self) -> list[str]:
        """The models that are to be moved out of Triton's sight, or are served without a folder."""
        return [model.name for model in self.models if not model.rows[0].declared and model.has("unload", "disable")]


def raise_if_different(plan: Plan) -> None:
    """Raise DifferenceError with the models about which something is to be done."""
    if plan.different:
        raise DifferenceError(
            f"{len(plan.different)} of {len(plan.models)} models: {', '.join(plan.different)}",
            hint="`inv triton.apply` makes it so.",
        )


def in_load_order(models: Sequence[PlannedModel]) -> list[PlannedModel]:
    """Put ensembles behind the models that they consist of; the rest stays in its order."""
    by_name = {model.name: model for model in models}
    ordered: dict[str, PlannedModel] = {}

    def add(model: PlannedModel, above: tuple[str, ...]) -> None:
        for step in model.steps:
            if step in by_name and step not in above:
                add(by_name[step], (*above, model.name))
        ordered.setdefault(model.name, model)

    for model in models:
        add(model, ())
    return list(ordered.values())
