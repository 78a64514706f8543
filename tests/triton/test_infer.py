import json

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.onnx_models import Signature, affine, identity, model, write_model
from tritonops.errors import TritonError
from tritonops.triton.client.client import connect
from tritonops.triton.client.response import OutputTensor
from tritonops.triton.infer import infer
from tritonops.triton.load import load_model

TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


@pytest.fixture
def client(triton):
    with connect(triton.grpc_url) as client:
        yield client


def loaded(triton, client, name, *arguments, **options):
    write_model(triton.models_dir, name, *arguments, **options)
    load_model(client, name)
    return name


@pytest.mark.parametrize("datatype", TYPES)
def test_without_an_input_a_model_of_any_type_is_asked_with_zeros(triton, client, datatype):
    name = loaded(triton, client, f"zeros_{datatype}", {1: identity(TYPES[datatype])})
    ((output,),) = infer(client, name).responses
    assert (output.name, output.datatype, output.array.shape) == ("y", datatype, (1, 3))
    nothing = {"BYTES": "", "BOOL": False}.get(datatype, 0)
    assert json.loads(json.dumps(output.as_json()))["data"] == [[nothing] * 3]


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("FP32", [[1, 2.5, -3]]),
        ("BF16", [[1, 2.5, -3]]),
        ("BYTES", [["häuser", "", "猫"]]),
        ("INT64", [[2**62, 0, -1]]),
    ],
)
def test_inputs_come_from_a_json_file(triton, client, tmp_path, datatype, values):
    name = loaded(triton, client, f"json_{datatype}", {1: identity(TYPES[datatype])})
    path = tmp_path / "input.json"
    path.write_text(json.dumps({"x": values}), encoding="utf-8")
    ((output,),) = infer(client, name, inputs=path).responses
    assert output.as_json()["data"] == values


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("FP32", np.array([[1, 2, 3]], np.float64)),
        ("BF16", np.array([[1, 2, 3]], ml_dtypes.bfloat16)),
        ("BYTES", np.array([["a", "bc", "d"]])),
    ],
)
def test_inputs_come_from_an_npz_file(triton, client, tmp_path, datatype, values):
    name = loaded(triton, client, f"npz_{datatype}", {1: identity(TYPES[datatype])})
    np.savez(tmp_path / "input.npz", x=values)
    ((output,),) = infer(client, name, inputs=tmp_path / "input.npz").responses
    assert output.as_json()["data"] == values.tolist()


def test_one_version_of_several_can_be_asked(triton, client):
    policy = "version_policy { all {} }"
    name = loaded(triton, client, "two_versions", {1: affine(1, 10), 2: affine(1, 20)}, extra=policy)
    answers = [infer(client, name, version=version).responses[0][0].array[0, 0] for version in (1, 2)]
    assert answers == [10, 20]
    with pytest.raises(TritonError, match="version 9 is not found"):
        infer(client, name, version=9)


def test_numbers_that_json_lacks_are_written_as_protobuf_writes_them():
    output = OutputTensor("y", "FP32", np.array([np.nan, np.inf, -np.inf, 1], np.float32))
    assert output.as_json()["data"] == ["NaN", "Infinity", "-Infinity", 1.0]


def pool_of_five():
    """A graph that takes no size below 5."""
    node = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[5, 5])
    images: Signature = {"x": (TensorProto.FLOAT, ["batch", 1, "h", "w"])}
    return model([node], images, {"y": (TensorProto.FLOAT, ["batch", 1, "rows", "columns"])})


def counted():
    """The numbers from a to n, in steps of d: no scalar may be 0."""
    node = helper.make_node("Range", ["a", "n", "d"], ["y"])
    return model([node], {name: (TensorProto.INT64, []) for name in "and"}, {"y": (TensorProto.INT64, ["count"])})


def test_a_graph_that_takes_no_size_of_1_fails_with_its_words_and_the_option_for_sizes(triton, client):
    name = loaded(triton, client, "pool_of_five", {1: pool_of_five()})
    told: list[str] = []
    with pytest.raises(TritonError, match="Calculated output dimension is negative") as caught:
        infer(client, name, on_zeros=told.append)
    assert told == ["zeros for x FP32 [1, 1, 1, 1] (declared [-1, 1, -1, -1])"]
    assert caught.value.hint == "--shape x=N,1,N,N gives sizes, which were 1; --input FILE gives values."
    ((output,),) = infer(client, name, shapes={"x": (2, 1, 5, 6)}, on_zeros=told.append).responses
    assert output.array.shape == (2, 1, 1, 2)
    assert told[1:] == ["zeros for x FP32 [2, 1, 5, 6] (declared [-1, 1, -1, -1])"]


def test_scalars_are_single_values_and_those_that_were_made_up_are_told(triton, client, tmp_path):
    name = loaded(triton, client, "counted", {1: counted()}, max_batch_size=0)
    told: list[str] = []
    with pytest.raises(TritonError, match="delta in Range operator can not be zero") as caught:
        infer(client, name, on_zeros=told.append)
    assert told == ["zeros for a INT64 [1], n INT64 [1], d INT64 [1]"]
    assert caught.value.hint == "--input FILE gives values."
    (tmp_path / "input.json").write_text('{"a": 1, "n": 6, "d": [2]}')
    ((output,),) = infer(client, name, inputs=tmp_path / "input.json", on_zeros=told.append).responses
    assert (output.array.tolist(), len(told)) == ([1, 3, 5], 1)
    (tmp_path / "input.json").write_text('{"a": [[1]], "n": 6, "d": 2}')
    with pytest.raises(TritonError, match=r"input 'a' .* Expected \[1\], got \[1,1\]") as caught:
        infer(client, name, inputs=tmp_path / "input.json")
    assert caught.value.hint is None
