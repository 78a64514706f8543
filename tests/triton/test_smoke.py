import json
import shutil

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.onnx_models import Signature, affine, identity, model, write_model
from tests.paths import PROJECT
from tritonops.errors import InputError, PartialFailureError
from tritonops.triton.client.client import connect
from tritonops.triton.load import load_model
from tritonops.triton.smoke import find_smoke_tests, raise_if_failed, read_smoke_test, run_smoke_test, run_smoke_tests


@pytest.fixture
def client(triton):
    with connect(triton.grpc_url) as client:
        yield client


@pytest.fixture
def ask(triton, client, tmp_path):
    """Run a smoke test of these contents against a model, and give its problems."""

    def run(name, **contents):
        path = tmp_path / "smoke.json"
        path.write_text(json.dumps(contents))
        return run_smoke_test(client, name, path).problems

    return run


@pytest.fixture(scope="module")
def doubles(triton):
    write_model(triton.models_dir, "smoke_doubles", {1: affine(2)})
    with connect(triton.grpc_url) as client:
        load_model(client, "smoke_doubles")
    return "smoke_doubles"


def test_a_model_that_answers_as_expected_passes(doubles, ask):
    assert ask(doubles, inputs={"x": [[1, 2, 3]]}, outputs={"y": [[2, 4, 6]]}, shapes={"y": [1, 3]}) == ()


def test_without_inputs_a_model_is_asked_with_zeros(doubles, ask):
    assert ask(doubles, outputs={"y": [[0, 0, 0]]}) == ()


def test_inputs_may_lie_in_a_file_beside_the_test(doubles, ask, tmp_path):
    np.savez(tmp_path / "sample.npz", x=np.array([[1, 2, 3]], np.float32))
    assert ask(doubles, inputs="sample.npz", outputs={"y": [[2, 4, 6]]}) == ()


def test_a_number_may_differ_by_the_tolerance_and_no_more(doubles, ask):
    inputs = {"x": [[1, 2, 3]]}
    assert ask(doubles, inputs=inputs, outputs={"y": [[2.001, 4, 6]]}, tolerance=0.01) == ()
    assert ask(doubles, inputs=inputs, outputs={"y": [[2, 4, 6.5]]}, tolerance=0.01) == (
        "y[0, 2] is 6.0, expected 6.5; 1 of 3 values differ",
    )


@pytest.fixture(scope="module")
def copies(triton):
    """A model for each of these types that answers its input."""
    types = {"FP16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16, "FP32": TensorProto.FLOAT}
    names = {datatype: f"smoke_{datatype}" for datatype in (*types, "INT64")}
    with connect(triton.grpc_url) as client:
        for datatype, name in names.items():
            made = identity(types.get(datatype, TensorProto.INT64))
            write_model(triton.models_dir, name, {1: made})
            load_model(client, name)
    return names


@pytest.mark.parametrize(
    ("datatype", "passing", "failing"),
    [
        ("FP32", [[100.0005, 1.00001, 0.000009]], [[100, 1, 0.00002]]),
        ("FP16", [[100.25, 1.004, 0.0009]], [[100, 1, 0.002]]),
        ("BF16", [[102, 1.03, 0.007]], [[100, 1.0625, 0]]),
        ("INT64", [[100, 1, 0]], [[101, 1, 0]]),
    ],
)
def test_each_type_has_a_tolerance_of_its_own(copies, ask, datatype, passing, failing):
    inputs = {"x": [[100, 1, 0]]}
    assert ask(copies[datatype], inputs=inputs, outputs={"y": passing}) == ()
    (problem,) = ask(copies[datatype], inputs=inputs, outputs={"y": failing})
    assert problem.endswith("; 1 of 3 values differ")
    assert ask(copies[datatype], inputs=inputs, outputs={"y": failing}, tolerance=1) == ()


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_a_tolerance_that_is_given_counts_for_all_types(copies, ask, datatype):
    inputs, expected = {"x": [[1, 2, 3]]}, {"y": [[1, 2, 3.015625]]}
    assert ask(copies[datatype], inputs=inputs, outputs=expected, tolerance=0.01) == ()
    assert ask(copies[datatype], inputs=inputs, outputs=expected, tolerance=0) != ()


def test_large_whole_numbers_have_to_be_equal(copies, ask):
    (problem,) = ask(copies["INT64"], inputs={"x": [[2**60, 0, 0]]}, outputs={"y": [[2**60 + 1, 0, 0]]})
    assert problem.startswith("y[0, 0] is 1152921504606846976, expected 1152921504606846977")


def test_scalars_are_single_values(triton, client, ask):
    scalar: Signature = {"x": (TensorProto.FLOAT, [])}
    made = model([helper.make_node("Neg", ["x"], ["y"])], scalar, {"y": scalar["x"]})
    write_model(triton.models_dir, "smoke_scalar", {1: made}, max_batch_size=0)
    load_model(client, "smoke_scalar")
    assert ask("smoke_scalar", inputs={"x": 2}, outputs={"y": -2}) == ()
    (problem,) = ask("smoke_scalar", inputs={"x": [2]}, outputs={"y": 2})
    assert problem == "y[0] is -2.0, expected 2.0; 1 of 1 values differ"
    (problem,) = ask("smoke_scalar", inputs={"x": 2}, outputs={"y": [[-2]]})
    assert problem == "y has the shape [1], expected [1, 1]"


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ({"outputs": {"z": [1]}}, "no output z; outputs: y"),
        ({"shapes": {"y": [1, 4]}}, "y has the shape [1, 3], expected [1, 4]"),
        ({"outputs": {"y": [[0, 0]]}}, "y has the shape [1, 3], expected [1, 2]"),
        ({"outputs": {"y": 0}}, "y has the shape [1, 3], expected []"),
        ({"outputs": {"y": [["a", "b", "c"]]}}, "y: the expected values are not FP32"),
        ({"outputs": {"y": [[0, 0, 0]]}, "inputs": {"w": [1]}}, "has no input 'w'"),
    ],
)
def test_an_answer_that_was_not_expected_is_described(doubles, ask, expected, problem):
    (found,) = ask(doubles, **expected)
    assert problem in found


def test_strings_are_compared_as_they_are(triton, client, ask):
    write_model(triton.models_dir, "smoke_strings", {1: identity(TensorProto.STRING)})
    load_model(client, "smoke_strings")
    inputs = {"x": [["a", "ß", ""]]}
    assert ask("smoke_strings", inputs=inputs, outputs={"y": [["a", "ß", ""]]}) == ()
    (problem,) = ask("smoke_strings", inputs=inputs, outputs={"y": [["a", "s", ""]]})
    assert problem.startswith("y[0, 1] is ")


def test_a_model_that_is_not_served_fails_its_test_and_the_others_run(doubles, client, tmp_path):
    for name in ("smoke_missing", doubles):
        (tmp_path / name).mkdir()
        (tmp_path / name / "smoke.json").write_text('{"shapes": {"y": [1, 3]}}')
    results = run_smoke_tests(client, find_smoke_tests(tmp_path))
    assert [(result.model, bool(result.problems)) for result in results] == [(doubles, False), ("smoke_missing", True)]
    with pytest.raises(PartialFailureError, match=r"1 of 2 smoke tests failed:\n  smoke_missing: .*unknown model"):
        raise_if_failed(results)


def test_a_model_without_a_smoke_test_is_named(tmp_path):
    assert find_smoke_tests(tmp_path) == {}
    with pytest.raises(InputError, match=r"clip has no smoke test: there is no .*clip/smoke.json"):
        find_smoke_tests(tmp_path, ["clip"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"smoke\.json, line 1, column 2: not valid JSON"),
        ("[]", "expected an object"),
        ('{"output": {}}', "unknown key 'output'"),
        ('{"outputs": [1]}', r"outputs: unexpected value \[1\]"),
        ('{"outputs": {"y": 1}, "tolerance": true}', "tolerance: unexpected value True"),
        ("{}", "expects nothing"),
    ],
)
def test_a_smoke_test_that_is_wrong_is_an_error_that_names_the_key(tmp_path, content, message):
    (tmp_path / "smoke.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_smoke_test(tmp_path / "smoke.json")


def test_the_digits_example_says_that_a_seven_is_a_seven(triton, client):
    example = PROJECT / "examples/digits"
    folder = triton.models_dir / "digits"
    (folder / "1").mkdir(parents=True)
    shutil.copy(example / "digits.onnx", folder / "1/model.onnx")
    shutil.copy(example / "triton-config/digits/cpu.pbtxt", folder / "config.pbtxt")
    load_model(client, "digits")
    (result,) = run_smoke_tests(client, find_smoke_tests(example / "triton-config"))
    assert (result.model, result.problems) == ("digits", ())
