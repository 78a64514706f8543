"""The operators that a graph needs, and the outputs whose rows they select."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from tests.onnx_models import affine
from tritonops.errors import GraphError
from tritonops.models.graphs.operators import read_operators

F = TensorProto.FLOAT
CASES = Path(__file__).with_name("cases")


def node(type_, inputs, outputs=("y",), **attributes):
    return helper.make_node(type_, list(inputs), list(outputs), **attributes)


@pytest.fixture
def read(tmp_path):
    def read(made):
        path = tmp_path / "model.onnx"
        path.write_bytes(made.SerializeToString())
        return read_operators(path)

    return read


def test_operators_are_those_of_nodes_and_not_of_the_imported_domains(read):
    made = affine()
    made.opset_import.append(helper.make_opsetid("com.unused", 1))
    assert read(made).used == {("", "Mul"), ("", "Add")}


def test_the_model_s_own_functions_count_by_what_they_call():
    assert read_operators(CASES / "local_function.onnx").used == {("", "Add")}


def test_a_function_that_nothing_calls_needs_nothing_and_one_may_call_itself(read):
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    strange = node("Strange", ["a"], ["b"], domain="no.one")
    unused = helper.make_function("own", "Unused", ["a"], ["b"], [strange], opset)
    circle = helper.make_function("own", "Circle", ["a"], ["b"], [node("Circle", ["a"], ["b"], domain="own")], opset)
    graph = helper.make_graph([node("Circle", ["x"], domain="own")], "g", [], [])
    assert read(helper.make_model(graph, functions=[unused, circle], opset_imports=opset)).used == set()


def test_operators_of_subgraphs_are_found_also_beside_a_tree_of_a_million_numbers(read):
    inner = helper.make_graph([node("Gelu", ["x"], domain="com.microsoft")], "b", [], [])
    branch = helper.make_graph([node("If", ["c"], then_branch=inner, else_branch=inner)], "b", [], [])
    tree = node("TreeEnsembleRegressor", ["x"], domain="ai.onnx.ml")
    tree.attribute.add(name="nodes_featureids", type=7).ints.extend([1] * 1_000_000)
    loop = node("Loop", ["x"], body=branch, padding="p" * 5000)
    found = read(helper.make_model(helper.make_graph([tree, loop], "g", [], [])))
    assert found.used == {("ai.onnx.ml", "TreeEnsembleRegressor"), ("", "Loop"), ("", "If"), ("com.microsoft", "Gelu")}


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x08"])
def test_what_is_no_graph_is_an_error(tmp_path, content):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(GraphError):
        read_operators(tmp_path / "model.onnx")


def test_a_plain_model_selects_nothing(read):
    assert read(affine()).selected_rows == {}
