"""The order in which models are loaded: steps before their ensembles, and unloaded the other way round."""

from __future__ import annotations

from collections.abc import Sequence

from tritonops.triton.plan.plan import PlannedModel


def in_load_order(models: Sequence[PlannedModel]) -> list[PlannedModel]:
    """Order models so that each comes after its steps; the rest keeps its order."""
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
