"""Control tensors against a graph."""

import pytest

from tests.models.rules.subjects import config
from tritonops.models.graphs.onnx_graph import Graph, GraphTensor
from tritonops.models.rules.sequences.in_graph import control_problems


def graph(**inputs):
    tensors = tuple(GraphTensor(name, datatype, shape) for name, (datatype, shape) in inputs.items())
    return Graph(8, {"": 17}, tensors, (), (), (), {})


def control(kind="CONTROL_SEQUENCE_START", values="int32_false_true: [ 0, 1 ]", name="c"):
    return f'sequence_batching {{ control_input [ {{ name: "{name}" control [ {{ kind: {kind} {values} }} ] }} ] }}'


@pytest.mark.parametrize(
    ("append", "tensor", "fixes"),
    [
        (control(), ("TYPE_INT32", ("n", 1)), []),
        (control(), ("TYPE_INT32", ("n", 2)), ["export the model with a control input of [1] behind the batch"]),
        (control(), ("TYPE_INT32", None), ["export the model with a control input of [1] behind the batch"]),
        (control(), ("TYPE_BOOL", ("n", 1)), ["write bool_false_true: [ false, true ]"]),
        (control(), ("TYPE_INT8", ("n", 1)), ["export the model with a control input of INT32, FP32 or BOOL"]),
        (control(name="start"), ("TYPE_INT32", ("n", 1)), ["Known inputs: c, x"]),
        (
            control("CONTROL_SEQUENCE_CORRID", "data_type: TYPE_UINT64"),
            ("TYPE_INT64", ("n", 1)),
            ["write data_type: TYPE_INT64"],
        ),
        (
            control("CONTROL_SEQUENCE_CORRID", "data_type: TYPE_UINT64"),
            ("TYPE_FP32", ("n", 1)),
            ["export the model with an ID of INT64"],
        ),
    ],
)
def test_a_control_that_the_graph_does_not_take_is_found(append, tensor, fixes):
    found = [*control_problems(config(append=append), graph(x=("TYPE_FP32", ("n", 3)), c=tensor))]
    assert {problem.code for problem in found} <= {"sequence-control"}
    assert [problem.fix for problem in found] == fixes


def test_a_tensor_of_several_purposes_counts_several_times():
    as_an_input_too = config(append=control(name="x"))
    found = control_problems(as_an_input_too, graph(x=("TYPE_INT32", ("n", 1))))
    assert ["several purposes" in problem.what for problem in found] == [True]
