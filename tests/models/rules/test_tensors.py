"""The tensors that a config declares, by themselves."""

import pytest

from tests.models.rules.subjects import codes, config
from tritonops.models.rules.tensors import tensor_problems

X = '"x" data_type: TYPE_FP32 dims: [ 3 ]'


@pytest.mark.parametrize(
    ("edits", "append", "expected"),
    [
        ((), "", set()),
        ((('name: "x" ', ""),), "", {"tensor-without-name"}),
        (((X, '"x" dims: [ 3 ]'),), "", {"tensor-without-type"}),
        (((X, '"x" data_type: TYPE_FP32'),), "", {"tensor-without-dims"}),
        (((X, '"x" data_type: TYPE_FP32 dims: [ 0 ]'),), "", {"bad-dimension"}),
        (((X, '"x" data_type: TYPE_FP32 dims: [ -2 ]'),), "", {"bad-dimension"}),
    ],
)
def test_a_declaration_that_triton_refuses_is_found(edits, append, expected):
    assert set(codes(tensor_problems(config(*edits, append=append)))) == expected
