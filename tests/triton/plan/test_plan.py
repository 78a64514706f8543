"""A plan: what is different, what is blocked, and the order of loads."""

import pytest

from tritonops.errors import DifferenceError
from tritonops.triton.plan.plan import Plan, PlannedModel, PlannedVersion, raise_if_different


def model(name, *actions, declared=True, reason=None, **options):
    rows = tuple(PlannedVersion(name, 1, declared, "installed", "READY", (action,), reason) for action in actions)
    return PlannedModel(name, rows, **options)


def test_a_model_is_different_unless_every_row_is_unchanged():
    plan = Plan((model("same", "unchanged"), model("new", "unchanged", "load")))
    assert plan.different == ["new"]
    assert [row.name for row in plan.rows] == ["same", "new", "new"]
    with pytest.raises(DifferenceError, match="1 of 2 models: new") as raised:
        raise_if_different(plan)
    assert raised.value.hint == "To apply these changes: inv triton.apply"
    raise_if_different(Plan(plan.models[:1]))


def test_only_blocked_rows_block_a_model_with_their_reasons():
    rows = (
        PlannedVersion("m", None, True, None, None, ("blocked",), "no config"),
        PlannedVersion("m", 1, True, None, None, ("load",), "not served"),
        PlannedVersion("m", None, True, None, None, ("blocked",), "no versions"),
    )
    blocked = PlannedModel("m", rows)
    assert blocked.blocked_by == "no config; no versions"
    assert model("m", "load", reason="not served").blocked_by is None


def test_pruned_are_undeclared_models_that_go_out_of_service():
    plan = Plan(
        (
            model("declared", "unload"),
            model("extra", "unload", declared=False),
            model("hidden", "disable", declared=False),
            model("kept", "unchanged", declared=False),
        )
    )
    assert plan.pruned == ["extra", "hidden"]
