"""The tensors of a config against those of its graph."""

import pytest

from tests.models.rules.subjects import codes, config
from tritonops.models.graphs.onnx_graph import Graph, GraphTensor
from tritonops.models.rules.onnx.tensors import input_problems, output_problems

Y = '"y" data_type: TYPE_FP32 dims: [ 3 ]'
X = '"x" data_type: TYPE_FP32 dims: [ 3 ]'
NO_BATCH = ("max_batch_size: 8", "max_batch_size: 0")


def graph(x, optional=()):
    return Graph(8, {"": 17}, (GraphTensor("x", "TYPE_FP32", x),), tuple(optional), (), (), {})


@pytest.mark.parametrize(
    ("shape", "dims", "by_file", "inferred"),
    [
        (("n", 3), "[ 3 ]", [], []),
        (("n", "d"), "[ 3 ]", [], ["tensor-shape"]),
        (("n", "d"), "[ -1 ]", [], []),
        (("n", 4), "[ 3 ]", ["tensor-shape"], ["tensor-shape"]),
        (("n", 4), "[ -1 ]", ["tensor-shape"], ["tensor-shape"]),
        (None, "[ 3 ]", [], ["tensor-shape"]),
        (None, "[ 1 ]", [], []),
        ((), "[ 1 ]", [], []),
        ((), "[ 3 ]", ["tensor-shape"], ["tensor-shape"]),
        ((2, 3), "[ 3 ]", ["batch-dimension"], ["batch-dimension"]),
        (("n", 0), "[ 3 ]", ["zero-dimension"], ["zero-dimension"]),
    ],
)
def test_what_the_file_leaves_open_of_an_output_is_judged_once_onnx_runtime_has_inferred_it(
    shape, dims, by_file, inferred
):
    declared = config((Y, Y.replace("[ 3 ]", dims)))
    outputs = [GraphTensor("y", "TYPE_FP32", shape)]
    assert codes(output_problems(declared, outputs, is_inferred=False)) == by_file
    assert codes(output_problems(declared, outputs, is_inferred=True)) == inferred


@pytest.mark.parametrize(
    ("shape", "dims", "found"),
    [
        (("n", "d"), "[ 3 ]", []),
        (("n", "d"), "[ -1 ]", []),
        (("n", 3), "[ -1 ]", ["tensor-shape"]),
        (("n", 0), "[ 3 ]", ["zero-dimension"]),
    ],
)
def test_an_input_may_fix_what_varies_in_the_graph(shape, dims, found):
    assert codes(input_problems(config((X, X.replace("[ 3 ]", dims))), graph(shape), is_inferred=True)) == found


def test_an_input_with_a_default_has_to_be_optional_or_left_out():
    made = graph((2, 3), [GraphTensor("w", "TYPE_FP32", (3,))])
    base = config(NO_BATCH, (X, X.replace("[ 3 ]", "[ 2, 3 ]")))
    assert codes(input_problems(base, made, is_inferred=True)) == []
    base.input.add(name="w", data_type=11, dims=[3])
    assert codes(input_problems(base, made, is_inferred=True)) == ["default-required"]
    base.input[1].optional = True
    assert codes(input_problems(base, made, is_inferred=True)) == []


def test_a_missing_input_is_written_out_with_its_name_escaped():
    made = Graph(8, {"": 17}, (GraphTensor('a"b\nc', "TYPE_FP32", ("n", 3)),), (), (), (), {})
    found = [problem for problem in input_problems(config(), made, is_inferred=True) if problem.code == "input-missing"]
    assert found[0].fix == 'add { name: "a\\"b\\nc" data_type: TYPE_FP32 dims: [3] }'
