"""Control tensors, by themselves."""

import pytest

from tests.models.rules.subjects import config
from tritonops.models.rules.sequences.controls import control_mistakes, control_type, kinds

VALUES = "int32_false_true: [ 0, 1 ]"


def batching(*controls):
    inputs = ", ".join(
        f'{{ name: "{name}" control [ {{ kind: {kind} {values} }} ] }}' for name, kind, values in controls
    )
    return config(append=f"sequence_batching {{ control_input [ {inputs} ] }}").sequence_batching


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        ([("a", "CONTROL_SEQUENCE_START", VALUES), ("b", "CONTROL_SEQUENCE_END", "fp32_false_true: [ 0, 1 ]")], []),
        ([("a", "CONTROL_SEQUENCE_CORRID", "data_type: TYPE_STRING")], []),
        ([("", "CONTROL_SEQUENCE_START", VALUES)], ["no `name`"]),
        ([("a", "CONTROL_SEQUENCE_START", VALUES), ("a", "CONTROL_SEQUENCE_END", VALUES)], ["2 times"]),
        ([("a", "CONTROL_SEQUENCE_END", VALUES), ("b", "CONTROL_SEQUENCE_END", VALUES)], ["2 times"]),
        ([("a", "CONTROL_SEQUENCE_READY", "")], ["does not say"]),
        ([("a", "CONTROL_SEQUENCE_READY", "bool_false_true: [ true ]")], ["1 entry"]),
        ([("a", "CONTROL_SEQUENCE_READY", "int32_false_true: [ 0, 1, 2 ]")], ["3 entries"]),
        ([("a", "CONTROL_SEQUENCE_READY", f"{VALUES} bool_false_true: [ false, true ]")], ["int32_false_true and"]),
        ([("a", "CONTROL_SEQUENCE_CORRID", "data_type: TYPE_FP32")], ["whole number"]),
        ([("a", "CONTROL_SEQUENCE_CORRID", f"data_type: TYPE_INT64 {VALUES}")], ["has int32_false_true"]),
    ],
)
def test_controls_that_triton_refuses_are_found(controls, expected):
    found = list(control_mistakes(batching(*controls)))
    assert len(found) == len(expected)
    assert all(words in mistake.what for words, mistake in zip(expected, found, strict=True))


def test_a_control_s_type_is_that_of_its_values_or_its_own():
    found = batching(
        ("a", "CONTROL_SEQUENCE_START", VALUES), ("b", "CONTROL_SEQUENCE_CORRID", "data_type: TYPE_STRING")
    )
    assert [control_type(kind, control) for _, kind, control in kinds(found)] == ["TYPE_INT32", "TYPE_STRING"]
