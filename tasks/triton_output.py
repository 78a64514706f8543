"""How the triton tasks show what they did: tables for people, or one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.terminal import note, print_diff, print_json, print_table

if TYPE_CHECKING:
    from tritonops.triton.apply import ApplyResult
    from tritonops.triton.client import ModelStatus
    from tritonops.triton.control import Outcome
    from tritonops.triton.infer import Output
    from tritonops.triton.plan import Plan, PlannedVersion


def show_outcome(outcome: Outcome, *, json: bool) -> None:
    """Print what became of a model, and its versions."""
    if json:
        print_json(outcome)
        return
    note(f"{outcome.model}: {_VERDICTS[outcome.verdict]}")
    show_models(outcome.versions, json=False)


_VERDICTS = {
    "loaded": "loaded",
    "current": "served already, from the files that are there",
    "unloaded": "unloaded",
    "not loaded": "was not loaded",
}


def show_plan(plan: Plan, *, json: bool) -> None:
    """Print the table of a plan, and the diffs of configs."""
    if json:
        print_json({"rows": plan.rows, "diffs": {model.name: model.diff for model in plan.models if model.diff}})
        return
    columns = ["model", "version", "models.toml", "disk", "server", "action", "reason"]
    print_table(
        columns,
        [
            (row.name, row.version, "yes" if row.declared else "no", row.disk, row.server, _actions(row), row.reason)
            for row in plan.rows
        ],
    )
    for model in plan.models:
        if model.diff:
            print(f"\n{model.name}:")
            print_diff(model.diff)


def _actions(row: PlannedVersion) -> str:
    return ", ".join(row.actions)


def show_result(result: ApplyResult, *, json: bool) -> None:
    """Print what an apply did."""
    if json:
        print_json(result)
    elif result.done:
        print_table(["model", "done"], [(applied.model, ", ".join(applied.actions)) for applied in result.done])
    else:
        note("nothing was to be done" if not result.failed else "nothing was done")


def show_models(rows: Sequence[ModelStatus], *, json: bool) -> None:
    """Print rows of the index."""
    if json:
        print_json(rows)
    else:
        print_table(["model", "version", "state", "reason"], [[r.name, r.version, r.state, r.reason] for r in rows])


def show_outputs(model: str, outputs: list[Output], *, json: bool) -> None:
    """Print what a model answered."""
    if json:
        print_json({"model": model, "outputs": [output.as_json() for output in outputs]})
        return
    for output in outputs:
        print(f"{output.name} {output.datatype} {list(output.array.shape)}")
        print(output.array)
