"""The outputs whose rows an operator selects by value."""

import pytest
from onnx import TensorProto, helper

from tritonops.models.graphs.operators import read_operators

F, INT64 = TensorProto.FLOAT, TensorProto.INT64


def node(type_, inputs, outputs=("y",), **attributes):
    return helper.make_node(type_, list(inputs), list(outputs), **attributes)


CONSTANTS = [helper.make_tensor("axis", INT64, [1], [0]), helper.make_tensor("one", F, [], [1.0])]
KEPT = [node("Compress", ["x", "keep"], ["kept"], axis=0)]
SQUEEZED = [node("NonZero", ["v"], ["f"]), node("Squeeze", ["f", "axis"], ["s"])]
FOUND = [node("NonZero", ["v"], ["found"]), node("Transpose", ["found"], ["rows"])]
ONES = [node("Shape", ["x"], ["size"]), node("ConstantOfShape", ["size"], ["v1"]), node("NonZero", ["v1"], ["f"])]


@pytest.mark.parametrize(
    ("nodes", "selected"),
    [
        ([node("Compress", ["x", "keep"], axis=0)], "Compress"),
        ([node("Compress", ["x", "keep"])], "Compress"),
        ([node("Compress", ["x", "keep"], axis=1)], None),
        ([*KEPT, node("Compress", ["kept", "keep"], axis=1)], "Compress"),
        ([node("Unique", ["x"], axis=0)], "Unique"),
        ([node("NonZero", ["x"])], None),
        ([node("NonZero", ["x"], ["f"]), node("Transpose", ["f"])], "NonZero"),
        ([node("NonZero", ["x"], ["f"]), node("Transpose", ["f"], perm=[1, 0])], "NonZero"),
        ([*FOUND, node("GatherND", ["x", "rows"])], "NonZero"),
        ([*FOUND, node("Cast", ["rows"], ["c"], to=F), node("Relu", ["c"])], "NonZero"),
        ([*FOUND, node("Squeeze", ["rows", "axis"], ["s"]), node("Gather", ["x", "s"])], "NonZero"),
        ([*SQUEEZED, node("Gather", ["x", "s"])], "NonZero"),
        ([*SQUEEZED, node("Gather", ["x", "s"], axis=1)], None),
        ([*KEPT, node("Gemm", ["kept", "w"])], "Compress"),
        ([*KEPT, node("Gemm", ["kept", "w"], transA=1)], None),
        ([*KEPT, node("MatMul", ["w", "kept"])], None),
        ([*KEPT, node("Add", ["kept", "one"])], "Compress"),
        ([*KEPT, node("Relu", ["kept"], ["r"]), node("Mul", ["r", "kept"])], "Compress"),
        ([*KEPT, node("Add", ["x", "kept"])], None),
        ([*KEPT, node("Identity", ["kept"], ["same"]), node("Concat", ["same", "kept"], axis=1)], "Compress"),
        ([*KEPT, node("Split", ["kept"], ["y", "z"], axis=1)], "Compress"),
        ([*KEPT, node("Split", ["kept"], ["y", "z"])], None),
        ([*KEPT, node("Flatten", ["kept"])], "Compress"),
        ([*ONES, node("Transpose", ["f"])], None),
        ([node("Relu", ["x"])], None),
        ([node("Compress", ["x", "keep"], domain="own")], None),
    ],
)
def test_rows_are_followed_back_to_what_selects_them(tmp_path, nodes, selected):
    assert rows_of(tmp_path, nodes) == ({"y": selected} if selected else {})


def test_a_deep_graph_of_sums_is_followed_in_linear_time(tmp_path):
    sums = [node("Add", [f"t{number}", f"t{number}"], [f"t{number + 1}"]) for number in range(2000)]
    nodes = [node("Compress", ["x", "keep"], ["t0"], axis=0), *sums, node("Identity", ["t90"])]
    assert rows_of(tmp_path, nodes) == {"y": "Compress"}
    assert rows_of(tmp_path, [*nodes[:-1], node("Identity", ["t2000"])]) == {}  # given up


BRANCH = helper.make_graph([node("Compress", ["x", "keep"], ["z"], axis=0)], "b", [], [])


@pytest.mark.parametrize(
    ("nodes", "operator"),
    [
        ([node("NonZero", ["v"], ["f"]), node("Reshape", ["f", "axis"], ["s"]), node("Gather", ["x", "s"])], "NonZero"),
        ([node("Compress", ["x", "keep"], axis=1)], "Compress"),
        ([node("If", ["keep"], then_branch=BRANCH, else_branch=BRANCH)], "Compress"),
        ([node("Slice", ["x", "axis", "v"])], "Slice"),
        ([node("Shape", ["x"], ["size"]), node("Slice", ["x", "axis", "size"])], None),
        ([*ONES, node("Gather", ["x", "f"])], None),
        ([node("Relu", ["x"])], None),
    ],
)
def test_what_chooses_by_value_is_found_wherever_it_stands(tmp_path, nodes, operator):
    assert operators_of(tmp_path, nodes).may_select == operator


def rows_of(tmp_path, nodes):
    return dict(operators_of(tmp_path, nodes).selected_rows)


def operators_of(tmp_path, nodes):
    shapes: dict[str, list[str | int]] = {"x": ["n", 3], "v": ["n"], "keep": ["n"]}
    inputs = [helper.make_tensor_value_info(name, F, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("y", F, None)], CONSTANTS)
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return read_operators(path)
