"""What the shapes, the names, the operators and a trial say of batches."""

import pytest

from tritonops.models.graphs.batching import conclude, is_worth_a_trial, looks_like_length, why_not_batched
from tritonops.models.graphs.onnx_graph import Graph, GraphTensor
from tritonops.models.graphs.operators import Operators
from tritonops.models.graphs.trial import PROVED, BatchTrial


def graph(inputs, outputs, optional=()):
    return Graph(8, {"": 17}, tensors("x", inputs), tuple(optional), tensors("y", outputs), (), {})


def tensors(name, shapes):
    return tuple(GraphTensor(name, "TYPE_FP32", shape) for shape in shapes)


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        ([("batch", 3)], [("batch", 5)], None),
        ([("N", "seq")], [("N", "seq", 3)], None),
        ([("unk__1", 3)], [("unk__2", 4)], None),
        ([("", 3)], [("batch", 5)], None),
        ([("batch",)], [("batch",)], None),
        ([(1, 3, 640, 640)], [(1, 5, 8400)], "the first dimension of 'x' is fixed at 1"),
        ([("batch", 3)], [(1, 5)], "the first dimension of 'y' is fixed at 1"),
        ([()], [("batch", 4)], "'x' is a scalar"),
        ([("batch", 3)], [None], "the rank of 'y' is unknown"),
        ([], [], "it has no input"),
    ],
)
def test_the_shapes_rule_batches_out_where_a_first_dimension_does_not_vary(inputs, outputs, reason):
    found = why_not_batched(graph(inputs, outputs))
    assert found is None if reason is None else reason in (found or "")


def test_outputs_that_the_file_leaves_open_do_not_keep_a_graph_from_its_trial():
    assert is_worth_a_trial(graph([("n", 3)], [None]))
    assert not is_worth_a_trial(graph([(1, 3)], [None]))
    optional = GraphTensor("w", "TYPE_FP32", ("n",))
    assert not is_worth_a_trial(graph([("n", 3)], [("n", 3)], [optional]))
    assert why_not_batched(graph([("n", 3)], [("n", 3)], [optional])) == "input 'w' is optional"


@pytest.mark.parametrize(
    ("inputs", "outputs", "is_length"),
    [
        ([("batch", 3)], [("batch", 5)], False),
        ([("unk__1", 3)], [("unk__2", 5)], False),
        ([("", 3)], [("", 5)], False),
        ([("seq_len", 3)], [("seq_len", 5)], True),
        ([("sequence", 3)], [("", 5)], True),
        ([("num_frames", 80)], [("", 5)], True),
        ([("batch_sequence", 80)], [("", 5)], False),
        ([("consequence", 80)], [("", 5)], False),
        ([("batch",)], [("batch",)], False),
        ([("samples",)], [("samples",)], True),
        ([("n",)], [("n",)], True),
        ([("",)], [("",)], True),
        ([("n", 3), ("n",)], [("n",)], False),
    ],
)
def test_names_and_ranks_tell_a_length_from_a_batch(inputs, outputs, is_length):
    assert bool(looks_like_length(graph(inputs, outputs))) == is_length


def test_what_the_operators_select_by_value_is_no_batch_whatever_a_trial_saw():
    made = graph([("n", 3)], [("n", 3)])
    assert conclude(made, Operators(frozenset(), {}), PROVED) == PROVED
    found = conclude(made, Operators(frozenset(), {"y": "NonZero"}), PROVED)
    assert (found.verdict, found.cause) == ("refuted", "rows")
    assert "as many rows as its NonZero selects" in found.reason
    may = Operators(frozenset(), {}, "NonZero")
    assert conclude(made, may, PROVED) == PROVED
    assert conclude(graph([("n", 3)], [("", 3)]), may, PROVED).verdict == "unknown"
    assert conclude(graph([("", 3)], [("", 3)]), may, PROVED).verdict == "unknown"
    refuted = BatchTrial("refuted", "rows depend on each other", "company")
    assert conclude(made, Operators(frozenset(), {}), refuted) == refuted
    assert conclude(graph([(1, 3)], [(1, 3)]), Operators(frozenset(), {}), PROVED).verdict == "refuted"
