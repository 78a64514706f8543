"""The order of loads."""

import pytest

from tritonops.triton.plan.load_order import in_load_order
from tritonops.triton.plan.plan import PlannedModel


@pytest.mark.parametrize(
    ("steps", "order"),
    [
        ({"a": (), "b": ()}, ["a", "b"]),
        ({"a": ("b",), "b": ()}, ["b", "a"]),
        ({"a": ("b",), "b": ("c",), "c": ()}, ["c", "b", "a"]),
        ({"a": ("absent",)}, ["a"]),
        ({"a": ("b",), "b": ("a",)}, ["b", "a"]),
    ],
)
def test_a_model_comes_after_its_steps_also_in_a_circle(steps, order):
    models = [PlannedModel(name, (), steps=needed) for name, needed in steps.items()]
    assert [each.name for each in in_load_order(models)] == order
