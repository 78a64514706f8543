"""The tensors that a config declares, by themselves."""

import pytest

from tests.models.rules.subjects import codes, config
from tritonops.models.rules.core.batch_tensors import batch_tensor_problems
from tritonops.models.rules.tensors import incomplete_tensors, tensor_problems

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
    judged = config(*edits, append=append)
    found = [*tensor_problems(judged), *incomplete_tensors(judged), *batch_tensor_problems(judged)]
    assert set(codes(found)) == expected


def test_a_reshape_to_nothing_is_right_where_the_server_sets_batches():
    scalar = (X, '"x" data_type: TYPE_FP32 dims: [ 1 ] reshape { }')
    unset = ("max_batch_size: 8", "max_batch_size: 0")
    assert codes(tensor_problems(config(scalar, unset))) == ["empty-reshape"]
    assert codes(tensor_problems(config(scalar, unset), batching=True)) == []


def test_the_reason_and_the_way_out_are_said_of_each_tensor_that_lacks_something():
    problems = incomplete_tensors(config((X, '"x"')), why="; nobody does", leave_out=", or leave out `{kind}`")
    assert [(each.code, each.why[-13:], each.fix[-22:]) for each in problems] == [
        ("tensor-without-type", "; nobody does", ", or leave out `input`"),
        ("tensor-without-dims", "; nobody does", ", or leave out `input`"),
    ]


def test_what_a_server_may_complete_is_not_compared_with_a_format_or_a_reshape():
    unknown = (X, '"x" data_type: TYPE_FP32 format: FORMAT_NCHW reshape { shape: [ 3, 1 ] }')
    assert codes(tensor_problems(config(unknown))) == []
    assert codes(tensor_problems(config((X, '"x" data_type: TYPE_FP32 format: 99 dims: [ 3 ]')))) == []


def test_an_input_that_stands_there_twice_is_refused_only_where_the_inputs_are_counted():
    twice = config(append='input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]')
    assert [each.severity for each in tensor_problems(twice)] == ["error"]
    assert [each.severity for each in tensor_problems(twice, counts_inputs=False)] == ["warning"]
