from contextlib import suppress

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tests.onnx_models import CONFIG_TYPES, affine, external_weights, identity, model
from tritonops.errors import GraphError
from tritonops.models.graphs.onnx_graph import ExternalData, GraphTensor, read_graph


@pytest.fixture
def read(tmp_path):
    def read(made):
        path = tmp_path / "model.onnx"
        path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
        return read_graph(path)

    return read


def test_the_signature_of_a_graph_is_read(read):
    graph = read(affine())
    assert graph.inputs == (GraphTensor("x", "TYPE_FP32", ("batch", 3)),)
    assert graph.outputs == (GraphTensor("y", "TYPE_FP32", ("batch", 3)),)
    assert graph.inputs[0].dims == (-1, 3)
    assert (graph.ir_version, graph.opsets, graph.external_data) == (8, {"": 17}, ())


@pytest.mark.parametrize(("type_", "datatype"), CONFIG_TYPES.items())
def test_every_type_that_triton_shares_with_onnx_is_known(read, type_, datatype):
    assert read(identity(type_)).inputs[0].datatype == datatype


def test_a_type_that_triton_lacks_has_no_name(read):
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, ["n"])
    complex_ = helper.make_tensor_value_info("c", TensorProto.COMPLEX64, [1])
    graph = read(helper.make_model(helper.make_graph([], "g", [sequence, complex_], [])))
    assert graph.inputs == (GraphTensor("s", None, None), GraphTensor("c", None, (1,)))


def test_a_shape_may_be_open_a_scalar_or_have_nameless_dimensions(read):
    values = [helper.make_tensor_value_info(str(i), 1, shape) for i, shape in enumerate([None, [], [None, 2]])]
    graph = read(helper.make_model(helper.make_graph([], "g", values, [])))
    assert [tensor.shape for tensor in graph.inputs] == [None, (), ("", 2)]
    assert [tensor.dims for tensor in graph.inputs] == [(), (), (-1, 2)]


def test_an_input_with_a_default_is_optional_and_an_initializer_is_no_input(read):
    made = affine()
    made.graph.input.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT, []))
    graph = read(made)
    assert [tensor.name for tensor in graph.inputs] == ["x"]
    assert [tensor.name for tensor in graph.optional_inputs] == ["scale"]


def test_weights_outside_of_the_file_are_found_with_their_end(tmp_path):
    external_weights([1.0, 2.0, 3.0], tmp_path / "model.onnx")
    graph = read_graph(tmp_path / "model.onnx" / "model.onnx")
    assert graph.external_data == (ExternalData("model.onnx.data", 12),)


def test_weights_in_the_attributes_of_nodes_are_found_too(read):
    inner = helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0])
    inner.ClearField("float_data")
    inner.data_location = TensorProto.EXTERNAL
    inner.external_data.add(key="location", value="weights/c.bin")
    branch = helper.make_graph([helper.make_node("Constant", [], ["c"], value=inner)], "b", [], [])
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    graph = read(helper.make_model(helper.make_graph([node], "g", [], [])))
    assert graph.external_data == (ExternalData("weights/c.bin", None),)


def test_metadata_and_the_opsets_of_all_domains_are_read(read):
    made = affine()
    made.metadata_props.add(key="names", value="{0: 'a'}")
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    graph = read(made)
    assert (graph.opsets, graph.metadata) == ({"": 17, "com.microsoft": 1}, {"names": "{0: 'a'}"})


@pytest.mark.parametrize(
    ("content", "output"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"<!DOCTYPE html>", "is a web page"),
        (b"hello", "is not an ONNX file"),
        (b"\x08\x08", "is not an ONNX file"),
        (b"\x00" * 100, "is not an ONNX file"),
    ],
)
def test_what_is_no_onnx_file_is_an_error_that_says_what_it_looks_like(read, content, output):
    with pytest.raises(GraphError, match=output):
        read(content)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(GraphError, match="no such file"):
        read_graph(tmp_path / "model.onnx")


@settings(deadline=None)
@given(st.data())
def test_a_graph_cut_short_or_changed_is_a_graph_or_an_error(tmp_path_factory, data):
    content = bytearray(affine().SerializeToString())
    path = tmp_path_factory.getbasetemp() / "changed.onnx"
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(GraphError):
        assert read_graph(path).ir_version >= 0


def test_the_weights_of_a_large_file_are_not_read(tmp_path):
    large = helper.make_tensor("w", TensorProto.FLOAT, [1 << 22], b"\0" * (1 << 24), raw=True)
    made = model([helper.make_node("Identity", ["w"], ["y"])], {}, {"y": (TensorProto.FLOAT, [1 << 22])}, [large])
    onnx.save(made, tmp_path / "large.onnx")
    import tracemalloc

    tracemalloc.start()
    read_graph(tmp_path / "large.onnx")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_tree_of_two_million_numbers_is_read_in_an_instant(read):
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml")
    made = helper.make_model(helper.make_graph([node], "g", [helper.make_tensor_value_info("x", 1, ["n", 3])], []))
    attribute = made.graph.node[0].attribute.add(name="nodes_featureids", type=onnx.AttributeProto.INTS)
    attribute.ints.extend([1] * 2_000_000)
    assert [tensor.name for tensor in read(made).inputs] == ["x"]


def test_a_graph_of_very_many_weights_is_read(read):
    made = affine()
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    made.graph.initializer.extend([weight] * 120_000)
    assert [tensor.name for tensor in read(made).inputs] == ["x"]
