"""No client gets another's rows: graphs whose first dimension is not the batch, or whose rows depend on each other."""

import concurrent.futures

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.onnx_models import Signature, affine, model, write_model
from tritonops.errors import TritonError
from tritonops.triton.client.client import connect

CLIENTS, REQUESTS = 8, 25
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def constant(name, values, dtype):
    return numpy_helper.from_array(np.array(values, dtype), name)


def rows_selected(output="chosen"):
    """The rows of x whose first element is positive."""
    nodes = [
        helper.make_node("Slice", ["x", "zero", "one", "one"], ["first"]),
        helper.make_node("Squeeze", ["first", "one"], ["flat"]),
        helper.make_node("Greater", ["flat", "nought"], ["positive"]),
        helper.make_node("Compress", ["x", "positive"], ["y"], axis=0),
    ]
    constants = [constant("zero", [0], "int64"), constant("one", [1], "int64"), constant("nought", 0, "float32")]
    return model(nodes, {"x": (FLOAT, ["batch", 3])}, {"y": (FLOAT, [output, 3])}, constants)


def boxes_selected():
    """NonMaxSuppression: some boxes of each image, with the number of the image."""
    nodes = [helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "overlap", "least"], ["y"])]
    constants = [
        constant("most", [10], "int64"),
        constant("overlap", [0.5], "float32"),
        constant("least", [0.1], "float32"),
    ]
    inputs: Signature = {"boxes": (FLOAT, ["batch", "n", 4]), "scores": (FLOAT, ["batch", 1, "n"])}
    return model(nodes, inputs, {"y": (INT64, ["selected", 3])}, constants)


def softmax_over_rows():
    """All first dimensions have one name and one size, and each row depends on all others."""
    nodes = [helper.make_node("Softmax", ["x"], ["y"], axis=0)]
    return model(nodes, {"x": (FLOAT, ["seq_len", 3])}, {"y": (FLOAT, ["seq_len", 3])})


GRAPHS = {
    "rows_selected": rows_selected(),
    "rows_selected_under_the_batch_s_name": rows_selected("batch"),
    "boxes_selected": boxes_selected(),
    "softmax_over_rows": softmax_over_rows(),
    "affine": affine(2, 1),
}


@pytest.fixture(scope="module")
def url(tmp_path_factory, start_module_triton):
    models_dir = tmp_path_factory.mktemp("batches") / "triton"
    for name, graph in GRAPHS.items():
        write_model(models_dir, name, {1: graph}, extra="dynamic_batching { max_queue_delay_microseconds: 2000 }")
    return start_module_triton(models_dir).grpc_url


def inputs_of(name, random):
    rows = int(random.integers(1, 4))
    if name != "boxes_selected":
        return {"x": random.normal(size=(rows, 3)).astype(np.float32)}
    corners = random.random((rows, 5, 2)) * 10
    boxes = np.concatenate([corners, corners + 1], axis=2).astype(np.float32)
    return {"boxes": boxes, "scores": random.random((rows, 1, 5)).astype(np.float32)}


@pytest.mark.parametrize("name", GRAPHS)
def test_with_eight_clients_each_answer_is_its_own_or_an_error_that_names_the_tensor(url, name):
    session = onnxruntime.InferenceSession(GRAPHS[name].SerializeToString())

    def ask(seed):
        random = np.random.default_rng(seed)
        answered = 0
        with connect(url) as client:
            for _ in range(REQUESTS):
                inputs = inputs_of(name, random)
                expected = session.run(None, inputs)[0]
                if len(expected) != len(next(iter(inputs.values()))):
                    with pytest.raises(TritonError, match="output 'y' has the shape"):
                        client.infer(name, inputs, timeout=30)
                    continue
                given = client.infer(name, inputs, timeout=30)["y"]
                np.testing.assert_allclose(given, expected, rtol=1e-5)
                answered += 1
        return answered

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        answered = sum(pool.map(ask, range(CLIENTS)))
    assert answered == CLIENTS * REQUESTS or "selected" in name


def test_a_single_request_whose_output_is_not_its_batch_fails_with_the_tensor_s_name(url):
    x = np.array([[1, 2, 3], [-1, 2, 3]], np.float32)
    with connect(url) as client, pytest.raises(TritonError, match=r"output 'y' has the shape \[1,3\] for a batch of 2"):
        client.infer("rows_selected", {"x": x}, timeout=30)
