"""A graph against the ONNX Runtime of the judged server."""

from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from tests.models.rules.subjects import codes, model_folder, subject
from tests.onnx_models import affine, identity
from tritonops.models.graphs.trial import TrialRequest, try_graph
from tritonops.models.rules.judged_server import embedded_server
from tritonops.models.rules.onnx.graph import graph_problems
from tritonops.models.rules.onnx.runtime import _FIRST_OPSET


def put(home, made):
    (home / "1" / "model.onnx").write_bytes(made.SerializeToString())
    return home


@pytest.mark.parametrize(
    ("image", "found"), [("25.02", ["ir-too-new", "opset-too-new"]), ("26.07", []), ("mine:1", [])]
)
def test_versions_are_those_of_the_image_s_runtime_and_none_where_it_is_unknown(tmp_path, image, found):
    made = affine()
    made.ir_version, made.opset_import[0].version = 12, 25
    assert codes(graph_problems(subject(home=put(model_folder(tmp_path), made), image=image))) == found


def test_what_the_file_only_imports_is_no_operator_and_a_named_library_may_have_any(tmp_path):
    made = affine()
    made.opset_import.append(helper.make_opsetid("com.acme", 1))
    home = put(model_folder(tmp_path), made)
    assert codes(graph_problems(subject(home=home))) == []
    made.graph.node[0].domain = "com.acme"
    put(home, made)
    assert codes(graph_problems(subject(home=home))) == ["unknown-domain"]
    library = 'model_operations { op_library_filename: "/opt/libops.so" }'
    assert codes(graph_problems(subject(home=home, append=library))) == []


def test_bfloat16_is_served_by_the_embedded_triton_alone(tmp_path):
    home = put(model_folder(tmp_path), identity(TensorProto.BFLOAT16))
    edits = [(f'"{name}" data_type: TYPE_FP32', f'"{name}" data_type: TYPE_BF16') for name in "xy"]
    assert codes(graph_problems(subject(*edits, home=home, server=embedded_server()))) == []
    assert codes(graph_problems(subject(*edits, home=home))) == ["bfloat16-unsupported"]


ATTRIBUTES: dict[str, dict[str, Any]] = {
    "AveragePool": {"kernel_shape": [1, 1]},
    "LpPool": {"kernel_shape": [1, 1]},
    "Cast": {"to": "FLOAT"},
    "Pad": {"paddings": [0] * 8},
}
TWO = {"Add", "Div", "Mul", "Sub", "Pow", "PRelu", "Concat", "Max", "Min", "Sum", "Mean"}


@pytest.mark.parametrize("type_", sorted({*TWO, *ATTRIBUTES, "Abs", "Relu", "Sqrt", "Elu", "Clip", "Neg", "Tanh"}))
def test_a_real_runtime_refuses_an_operator_of_the_opset_before_its_first(tmp_path, type_):
    inputs = ["x", "x"] if type_ in TWO else ["x"]
    node = helper.make_node(type_, inputs, ["y"], **ATTRIBUTES.get(type_, {}))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 2, 2]) for name in "xy"]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", values[:1], [output])
    opset = [helper.make_opsetid("", _FIRST_OPSET[type_] - 1)]
    onnx.save_model(helper.make_model(graph, ir_version=3, opset_imports=opset), tmp_path / "model.onnx")
    trial = try_graph(TrialRequest(tmp_path / "model.onnx"))
    assert (trial.state, trial.kind) == ("refused", "NotImplemented"), trial
