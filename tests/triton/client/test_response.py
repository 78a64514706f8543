"""Answers as they came: types and shapes of the response itself, several responses, the largest values."""

import json
import math

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.onnx_models import identity, model, write_model
from tritonops.errors import TritonError
from tritonops.triton.client.client import connect
from tritonops.triton.infer import infer
from tritonops.triton.load import load_model
from tritonops.triton.smoke import run_smoke_test

CONFIG = """\
backend: "python"
max_batch_size: 0
input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 3 ] } ]
instance_group [ { kind: KIND_CPU } ]
"""
ONE = """\
import numpy as np, triton_python_backend_utils as u
class TritonPythonModel:
    def execute(self, requests):
        return [u.InferenceResponse([u.Tensor(%s)]) for request in requests]
"""
MANY = """\
import numpy as np, time, triton_python_backend_utils as u
class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for number in range(%s):
                sender.send(u.InferenceResponse([u.Tensor("y", np.full(3, number, np.float32))]))
            sender.send(flags=u.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""


@pytest.fixture
def client(triton):
    with connect(triton.grpc_url) as client:
        yield client


def python(triton, client, name, source, config=CONFIG):
    folder = triton.models_dir / name
    (folder / "1").mkdir(parents=True)
    (folder / "1/model.py").write_text(source)
    (folder / "config.pbtxt").write_text(config)
    load_model(client, name)
    return name


@pytest.fixture(scope="module")
def decoupled(triton):
    with connect(triton.grpc_url) as client:
        return python(
            triton, client, "decoupled", MANY % 3, f"{CONFIG}model_transaction_policy {{ decoupled: true }}\n"
        )


def test_the_type_and_the_shape_are_those_of_the_response(triton, client):
    name = python(triton, client, "othertype", ONE % '"y", np.array([[2**53 + 1, -1]], np.int64)')
    answer = infer(client, name)
    ((output,),) = answer.responses
    assert output.as_json() == {"name": "y", "datatype": "INT64", "shape": [1, 2], "data": [[2**53 + 1, -1]]}
    assert answer.undeclared == ("y is INT64 [1, 2], and othertype declares FP32 [3]",)


def test_an_output_by_another_name_is_an_error(triton, client):
    name = python(triton, client, "othername", ONE % '"z", np.zeros(3, np.float32)')
    with pytest.raises(
        TritonError, match="othername answered without output 'y', which it declares; its outputs: nothing"
    ):
        infer(client, name)


def test_a_decoupled_model_is_asked_over_the_stream(client, decoupled):
    answer = infer(client, decoupled)
    assert [output.array.tolist() for (output,) in answer.responses] == [[0] * 3, [1] * 3, [2] * 3]
    assert (answer.is_decoupled, answer.is_complete) == (True, True)


@pytest.mark.parametrize(("most", "complete"), [(1, False), (2, False), (3, True)])
def test_so_many_responses_are_taken_and_the_rest_is_said(client, decoupled, most, complete):
    answer = infer(client, decoupled, max_responses=most)
    assert (len(answer.responses), answer.is_complete) == (most, complete)
    assert infer(client, decoupled).is_complete


def test_smoke_tests_ask_a_decoupled_model_and_count_its_responses(client, decoupled, tmp_path):
    path = tmp_path / "smoke.json"
    for count, problems in ((3, ()), (2, ("sent 3 responses, expected 2",))):
        path.write_text(json.dumps({"outputs": {"y": [0, 0, 0]}, "responses": count}))
        assert run_smoke_test(client, decoupled, path).problems == problems
    path.write_text(json.dumps({"outputs": {"y": [1, 1, 1]}}))
    assert "is 0.0, expected 1.0" in run_smoke_test(client, decoupled, path).problems[0]


def test_the_errors_of_a_stream_are_those_of_the_model(triton, client):
    config = f"{CONFIG}model_transaction_policy {{ decoupled: true }}\n"
    name = python(triton, client, "decoupled_error", MANY % "int('too hot')", config)
    with pytest.raises(TritonError, match="too hot"):
        infer(client, name)


def test_a_scalar_and_a_tensor_of_nothing_keep_their_shapes(triton, client):
    name = python(triton, client, "nothing", ONE % '"y", np.zeros((0, 3), np.float32)')
    ((output,),) = infer(client, name).responses
    assert output.as_json() == {"name": "y", "datatype": "FP32", "shape": [0, 3], "data": []}
    name = python(triton, client, "scalar_out", ONE % '"y", np.array(5, np.float32)')
    ((output,),) = infer(client, name).responses
    assert (output.as_json()["shape"], output.as_json()["data"]) == ([], 5.0)
    name = python(triton, client, "strings", ONE % '"y", np.array(["h\\u00e9", b"\\xff", ""], dtype=object)')
    ((output,),) = infer(client, name).responses
    assert (output.datatype, output.as_json()["data"]) == ("BYTES", ["hé", "\\xff", ""])


def test_an_error_longer_than_16_kb_is_the_models_own(triton, client):
    name = python(triton, client, "talkative_error", ONE % '"y", {}["too hot" * 10_000]')
    with pytest.raises(TritonError, match=r"KeyError: .*too hot") as caught:
        infer(client, name)
    assert (len(caught.value.answer) > 70_000, len(str(caught.value)) < 600) == (True, True)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_a_tensor_of_nothing_has_no_largest_values(triton, client, shape):
    source = ONE % f'"y", np.zeros({shape}, np.float32)'
    config = CONFIG.replace("dims: [ 3 ]", f"dims: {[-1] * len(shape)}")
    name = python(triton, client, f"nothing_{'_'.join(map(str, shape))}", source, config)
    answer = infer(client, name, top=2)
    ((output,),) = answer.responses
    assert (output.as_json()["top"], answer.undeclared) == ([[]], ())


def test_an_end_without_a_response_is_said(inv, triton, client):
    config = f"{CONFIG}model_transaction_policy {{ decoupled: true }}\n"
    name = python(triton, client, "silent", MANY % 0, config)
    code, out, err = inv("triton.infer", name, "--url", triton.grpc_url)
    assert (code, out) == (0, "")
    assert err.splitlines() == ["no --input: sending zeros for x FP32 [3]", "it ended without a response"]


@pytest.fixture(scope="module")
def classes(triton):
    """Scores 0, 1, 2 … as they were given, with labels; and a string beside them."""
    scores = model(
        [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Identity", ["x"], ["z"])],
        {"x": (TensorProto.FLOAT, ["n", 4])},
        {"y": (TensorProto.FLOAT, ["n", 4]), "z": (TensorProto.FLOAT, ["n", 4])},
    )
    folder = write_model(triton.models_dir, "classes", {1: scores})
    text = (folder / "config.pbtxt").read_text()
    (folder / "config.pbtxt").write_text(text.replace('name: "y"', 'name: "y" label_filename: "labels.txt"'))
    (folder / "labels.txt").write_text("cat\ndog\na:b\nowl\n")
    with connect(triton.grpc_url) as client:
        load_model(client, "classes")
    return "classes"


def test_the_largest_values_come_with_their_labels(client, classes, tmp_path):
    path = tmp_path / "input.json"
    path.write_text('{"x": [[0.25, 0.5, 4, 1], [9, 0, 0, 8]]}')
    ((y, z),) = infer(client, classes, inputs=path, top=2).responses
    assert [[(one.index, one.label, one.value) for one in row] for row in y.top] == [
        [(2, "a:b", 4), (3, "owl", 1)],
        [(0, "cat", 9), (3, "owl", 8)],
    ]
    assert [(one.index, one.label) for one in z.top[0]] == [(2, None), (3, None)]
    assert y.as_json()["top"][1][0] == {"value": 9.0, "index": 0, "label": "cat"}
    ((y, _),) = infer(client, classes, inputs=path, top=99).responses
    assert [len(row) for row in y.top] == [4, 4]


def test_strings_stay_whole_beside_the_largest_values(triton, client):
    write_model(triton.models_dir, "top_of_strings", {1: identity(TensorProto.STRING)})
    load_model(client, "top_of_strings")
    ((output,),) = infer(client, "top_of_strings", top=3).responses
    assert (output.top, output.as_json()["data"]) == ((), [["", "", ""]])


def test_the_task_prints_what_came(inv, triton, client, decoupled, classes):
    code, out, _ = inv("triton.infer", decoupled, "--url", triton.grpc_url, "--json")
    assert (code, [one["outputs"][0]["data"][0] for one in json.loads(out)["responses"]]) == (0, [0, 1, 2])
    code, out, err = inv("triton.infer", decoupled, "--url", triton.grpc_url, "--max-responses", "2")
    assert (code, out.count("response ")) == (0, 2)
    assert "stopped after 2 responses; --max-responses N takes more" in err
    code, out, _ = inv("triton.infer", classes, "--url", triton.grpc_url, "--top", "1")
    assert (code, out.split()[:4]) == (0, ["y", "INDEX", "LABEL", "VALUE"])
    assert math.isfinite(float(out.split()[-1]))
    np.testing.assert_array_equal(infer(client, classes).responses[0][0].array, [[0] * 4])
