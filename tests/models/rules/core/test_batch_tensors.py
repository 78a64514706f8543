"""batch_input and batch_output."""

import pytest

from tests.models.rules.subjects import codes, config
from tritonops.models.rules.core.batch_tensors import batch_tensor_problems

INPUT = 'batch_input [ {{ kind: {kind} target_name: "n" data_type: {type} source_input: [ {source} ] }} ]'
OUTPUT = 'batch_output [ {{ kind: {kind} target_name: [ {target} ] source_input: "x" }} ]'


@pytest.mark.parametrize(
    ("kind", "data_type", "source", "expected"),
    [
        ("BATCH_ITEM_SHAPE", "TYPE_INT32", '"x"', []),
        ("BATCH_ELEMENT_COUNT", "TYPE_FP32", "", ["batch-tensor-source"]),
        ("BATCH_ELEMENT_COUNT", "TYPE_FP32", '"x", "x"', ["batch-tensor-source"]),
        ("BATCH_ELEMENT_COUNT", "TYPE_FP64", '"x"', ["batch-tensor-type"]),
        ("9", "TYPE_FP32", '"x"', ["batch-tensor-kind"]),
    ],
)
def test_batch_inputs_have_a_kind_a_type_and_one_source(kind, data_type, source, expected):
    judged = config(append=INPUT.format(kind=kind, type=data_type, source=source))
    assert codes(batch_tensor_problems(judged)) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [('"y"', []), ('"z"', ["batch-tensor-target"]), ('"y", "y"', ["batch-tensor-target"])],
)
def test_batch_outputs_have_each_output_once(target, expected):
    judged = config(append=OUTPUT.format(kind="BATCH_SCATTER_WITH_INPUT_SHAPE", target=target))
    assert codes(batch_tensor_problems(judged)) == expected
