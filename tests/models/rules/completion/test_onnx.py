"""A config completed from a graph, as NVIDIA's backend does it."""

import pytest

from tests.models.rules.subjects import config
from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.graphs.onnx_graph import Graph, GraphTensor
from tritonops.models.rules.completion.onnx import complete_from_graph, has_known_shapes, needs_completion


def graph(x=("n", 3), y=("n", 3), datatype="TYPE_FP32"):
    return Graph(8, {}, (GraphTensor("x", datatype, x),), (), (GraphTensor("y", "TYPE_FP32", y),), (), {})


def complete(text, of):
    completed, problems = complete_from_graph(parse_config(text), of)
    return completed, [problem.code for problem in problems]


def test_an_empty_config_gets_tensors_four_batches_and_dynamic_batching():
    found, problems = complete("", graph())
    assert (found.max_batch_size, found.HasField("dynamic_batching"), problems) == (4, True, [])
    assert [(each.name, list(each.dims)) for each in (*found.input, *found.output)] == [("x", [3]), ("y", [3])]


def test_a_batch_and_a_scheduler_of_the_config_stay():
    found, _ = complete("max_batch_size: 8 sequence_batching { }", graph())
    assert (found.max_batch_size, found.WhichOneof("scheduling_choice")) == (8, "sequence_batching")
    assert not complete("max_batch_size: 1", graph())[0].HasField("dynamic_batching")


def test_a_vector_of_batches_is_reshaped_and_a_scalar_without_batches_is_not():
    batched, _ = complete("", graph(y=("n",)))
    assert (list(batched.output[0].dims), batched.output[0].HasField("reshape")) == ([1], True)
    scalar, _ = complete("", graph(x=(), y=()))
    assert (scalar.max_batch_size, list(scalar.input[0].dims), scalar.input[0].HasField("reshape")) == (0, [1], False)


@pytest.mark.parametrize(
    ("text", "of", "expected"),
    [
        ("max_batch_size: 8", graph(x=(2, 3)), ["batch-dimension"]),
        ("max_batch_size: 8", graph(y=()), ["batch-dimension"]),
        ("", graph(x=(2, 3)), []),
        ("", graph(datatype=None), ["tensor-type"]),
        ("", graph(x=("n", 0)), ["bad-dimension"]),
    ],
)
def test_a_graph_that_the_config_cannot_be_completed_from_is_found(text, of, expected):
    assert complete(text, of)[1] == expected


def test_a_config_with_inputs_and_outputs_stays_as_it_is():
    assert not needs_completion(config())
    assert complete("", graph())[0] != parse_config("")
    batch_input = config(
        ("input [", "batch_input ["), ('name: "x" data_type: TYPE_FP32 dims: [ 3 ]', "kind: BATCH_ITEM_SHAPE")
    )
    assert not needs_completion(batch_input)


def test_a_rank_that_the_file_leaves_open_is_unknown():
    assert [has_known_shapes(graph(y=shape)) for shape in (("n",), (), None)] == [True, True, False]
