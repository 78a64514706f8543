"""Graphs with what ONNX Runtime infers, and what is known of their batches."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from tests.onnx_models import affine, model
from tritonops.errors import GraphError
from tritonops.models.graphs.examine import ExaminedGraph, examine_graph, examine_graphs

CASES = Path(__file__).with_name("cases")


def test_graphs_are_examined_together_and_what_is_no_graph_has_its_error(tmp_path):
    (tmp_path / "page.onnx").write_text("<html>")
    onnx.save_model(affine(), tmp_path / "good.onnx")
    found = examine_graphs([tmp_path / "page.onnx", tmp_path / "good.onnx"])
    assert isinstance(found[tmp_path / "page.onnx"], GraphError)
    good = found[tmp_path / "good.onnx"]
    assert isinstance(good, ExaminedGraph)
    assert good.batches.verdict == "proved"
    with pytest.raises(GraphError, match="is a web page"):
        examine_graph(tmp_path / "page.onnx")


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("output_without_shape_inferred", [(2, 3)]),
        ("output_symbolic_but_inferred_fixed", [(1, 3)]),
        ("output_without_shape_unknown", [None]),
        ("input_without_shape", [None]),
        ("bf16_scalar_input", [()]),
    ],
)
def test_shapes_are_inferred_and_what_nobody_knows_stays_unknown(name, outputs):
    assert [tensor.shape for tensor in examine_graph(CASES / f"{name}.onnx").graph.outputs] == outputs


@pytest.mark.parametrize(("declared", "shape"), [(["n", 3, 1], None), ([5], None), ([1], (1,)), ([], ())])
def test_a_declared_shape_that_the_graph_cannot_have_is_unknown_unless_it_is_a_scalar_s(tmp_path, declared, shape):
    node = helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0)
    made = model([node], {"x": (TensorProto.FLOAT, ["n", 3])}, {"y": (TensorProto.FLOAT, declared)})
    onnx.save_model(made, tmp_path / "model.onnx")
    found = examine_graph(tmp_path / "model.onnx")
    assert [tensor.shape or shape for tensor in found.graph.outputs] == [shape]
    assert ("rank of 'y' is unknown" in found.batches.reason) == (shape is None)


def test_without_onnxruntime_the_shapes_are_the_file_s_own(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = examine_graph(CASES / "output_symbolic_but_inferred_fixed.onnx")
    assert (found.failure, found.untried) == (None, "onnxruntime is not installed")
    assert [tensor.dims for tensor in found.graph.outputs] == [(-1, 3)]


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("batch_names_differ", "proved"),
        ("saved_by_onnxruntime_optimized", "proved"),
        ("kv_cache_empty_past", "proved"),
        ("rows_selected_unnamed_dim_taken_for_batch", "refuted"),
        ("nms_selected_unnamed_dim_taken_for_batch", "refuted"),
        ("optional_input_batch", "refuted"),
    ],
)
def test_batches_are_what_a_trial_proves(name, verdict):
    assert examine_graph(CASES / f"{name}.onnx").batches.verdict == verdict


def test_a_graph_that_onnx_runtime_refuses_keeps_its_own_shapes_and_has_the_reason():
    found = examine_graph(CASES / "opset_too_old_6.onnx")
    assert "Could not find an implementation for AveragePool(1)" in (found.failure or "")
    assert [tensor.shape for tensor in found.graph.outputs] == [(1, 1, 3, 3)]


def test_batches_may_be_left_untried(tmp_path):
    onnx.save_model(affine(), tmp_path / "good.onnx")
    assert examine_graph(tmp_path / "good.onnx", batches=False).batches.verdict == "unknown"
