import json

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto

from tests.onnx_models import affine, identity, write_model
from tritonops.errors import InputError, TritonError
from tritonops.triton.client.api_types import ModelMetadata, TensorSpec
from tritonops.triton.client.client import connect
from tritonops.triton.client.response import OutputTensor
from tritonops.triton.infer import as_array, as_tensors, infer, read_inputs, zeros
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


METADATA = ModelMetadata("clip", (1,), (TensorSpec("x", "UINT8", (-1, 2)),), ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"x": [[1, 2]', "delimiter"),
        ("[1, 2]", "expected an object of input names"),
        ('{"y": [[1, 2]]}', "clip has no input 'y'"),
        ('{"x": [[1, 300]]}', "does not fit in UINT8"),
        ('{"x": [[1, 1.5]]}', "does not fit in UINT8"),
        ('{"x": [["a", "b"]]}', "x: expected a number, not 'a'"),
        ('{"x": [[1], [2, 3]]}', "expected lists of equal length"),
    ],
)
def test_a_file_of_wrong_inputs_is_an_error_that_says_what_the_model_takes(tmp_path, content, message):
    path = tmp_path / "input.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_inputs(path, METADATA)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["missing.json", "broken.npz"])
def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path, name):
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match=f"cannot read the inputs of clip from .*{name}"):
        read_inputs(tmp_path / name, METADATA)


def test_lists_of_different_lengths_make_no_tensor_of_strings():
    with pytest.raises(ValueError, match="expected lists of equal length"):
        as_array([["a"], ["b", "c"]], "BYTES")


def test_numbers_that_json_lacks_are_written_as_protobuf_writes_them():
    output = OutputTensor("y", "FP32", np.array([np.nan, np.inf, -np.inf, 1], np.float32))
    assert output.as_json()["data"] == ["NaN", "Infinity", "-Infinity", 1.0]


def test_zeros_have_the_declared_shape_and_one_where_it_varies():
    (array,) = zeros(METADATA).values()
    assert array.tolist() == [[0, 0]]
    assert array.dtype == np.uint8


def test_the_hint_names_what_the_model_takes():
    with pytest.raises(InputError) as caught:
        as_tensors({"z": 1}, METADATA, where="smoke.json")
    assert caught.value.hint == "clip takes: x UINT8 [-1, 2]."
