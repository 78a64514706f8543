import json
from typing import Any

import numpy as np
import pytest

from tritonops.errors import InputError
from tritonops.triton.client.api_types import ModelMetadata, TensorSpec
from tritonops.triton.inputs.input_files import as_tensors, read_inputs

METADATA = ModelMetadata("clip", (1,), (TensorSpec("x", "UINT8", (-1, 2)),), ())
SCALARS = ModelMetadata(
    "scaled",
    (1,),
    (
        TensorSpec("one", "FP32", (1,)),
        TensorSpec("of_a_batch", "BF16", (-1, 1)),
        TensorSpec("deep", "INT64", (1, 1)),
        TensorSpec("text", "BYTES", (1,)),
    ),
    (),
)


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
        ('{"x": 1}', r"x: a single value, where \[-1, 2\] is declared"),
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


def test_the_hint_names_what_the_model_takes():
    with pytest.raises(InputError) as caught:
        as_tensors({"z": 1}, METADATA, where="smoke.json")
    assert caught.value.hint == "clip takes: x UINT8 [-1, 2]."


def test_a_value_without_dimensions_is_a_scalar_of_json(tmp_path):
    path = tmp_path / "input.json"
    path.write_text(json.dumps({"one": 2.5, "of_a_batch": 3, "deep": -1, "text": "ä"}))
    assert_scalars(read_inputs(path, SCALARS))


def test_an_array_without_dimensions_is_a_scalar_of_npz(tmp_path):
    scalars: dict[str, Any] = {"one": np.float64(2.5), "of_a_batch": np.float32(3), "deep": np.int8(-1)}
    scalars["text"] = np.array("ä")
    np.savez(tmp_path / "input.npz", **scalars)
    assert_scalars(read_inputs(tmp_path / "input.npz", SCALARS))


def assert_scalars(tensors):
    shapes = {name: array.shape for name, array in tensors.items()}
    assert shapes == {"one": (1,), "of_a_batch": (1, 1), "deep": (1, 1), "text": (1,)}
    values = {name: array.item() for name, array in tensors.items()}
    assert values == {"one": 2.5, "of_a_batch": 3, "deep": -1, "text": "ä".encode()}
