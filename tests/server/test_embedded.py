import numpy as np
import pytest

from tests.onnx_models import affine, write_model


@pytest.fixture
def client(triton):
    from tritonclient.grpc import InferenceServerClient

    with InferenceServerClient(triton.grpc_url) as client:
        yield client


def infer(client, model, x, datatype="FP32"):
    from tritonclient.grpc import InferInput

    tensor = InferInput("x", list(x.shape), datatype)
    tensor.set_data_from_numpy(x)
    return client.infer(model, [tensor]).as_numpy("y")


def test_a_model_written_to_the_shared_server_is_loaded_and_answers(triton, client):
    write_model(triton.models_dir, "affine_loaded", {1: affine(2, 1)})
    client.load_model("affine_loaded")
    x = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)
    np.testing.assert_array_equal(infer(client, "affine_loaded", x), 2 * x + 1)


def test_every_model_is_served_from_the_start(tmp_path, start_triton):
    from tritonclient.grpc import InferenceServerClient

    write_model(tmp_path / "triton", "first", {1: affine(3)})
    write_model(tmp_path / "triton", "second", {2: affine(4)})
    with InferenceServerClient(start_triton(tmp_path / "triton").grpc_url) as client:
        assert client.is_model_ready("first", "1")
        assert client.is_model_ready("second", "2")
