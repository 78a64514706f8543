import socket

import pytest

from tests.onnx_models import affine, write_model
from tritonops.errors import TritonError, TritonTimeoutError, UnknownModelError
from tritonops.triton import control
from tritonops.triton.client import connect


@pytest.fixture
def client(triton):
    with connect(triton.grpc_url) as client:
        yield client


def test_load_ends_when_the_model_serves_and_unload_when_it_is_gone(triton, client):
    write_model(triton.models_dir, "comes_and_goes", {3: affine()})
    assert [(row.version, row.state) for row in control.load(client, "comes_and_goes")] == [(3, "READY")]
    assert [(row.state, row.reason) for row in control.unload(client, "comes_and_goes")] == [("UNAVAILABLE", "unloaded")]


def test_unloading_what_is_not_loaded_changes_nothing(triton, client):
    write_model(triton.models_dir, "never_loaded")
    assert [row.state for row in control.unload(client, "never_loaded")] == [None]


def test_a_model_that_the_server_does_not_have_is_an_error_with_the_near_misses(triton, client):
    write_model(triton.models_dir, "nutriscore_near")
    for change in (control.load, control.unload):
        with pytest.raises(UnknownModelError, match="nutriscor_near") as caught:
            change(client, "nutriscor_near")
        assert "nutriscore_near" in str(caught.value.hint)


def test_a_load_that_fails_gives_tritons_own_reason(triton, client):
    folder = write_model(triton.models_dir, "not_onnx")
    (folder / "1/model.onnx").write_bytes(b"this is no model")
    with pytest.raises(TritonError, match="not_onnx.*UNAVAILABLE.*(Protobuf|model.onnx)"):
        control.load(client, "not_onnx")


def test_a_server_is_ready_until_a_model_fails_to_load(tmp_path, start_triton):
    folder = write_model(tmp_path / "triton", "fails_later")
    with connect(start_triton(folder.parent).grpc_url) as client:
        control.require_ready(client)
        control.wait_until_ready(client, timeout=30)
        (folder / "1/model.onnx").write_bytes(b"this is no model")
        control.unload(client, "fails_later")
        with pytest.raises(TritonError, match="UNAVAILABLE"):
            control.load(client, "fails_later")
        with pytest.raises(TritonError, match="is not ready") as caught:
            control.require_ready(client)
        assert "triton.list" in str(caught.value.hint)


def test_waiting_for_a_server_that_never_comes_ends_at_the_deadline():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with connect(f"127.0.0.1:{unused.getsockname()[1]}") as client, pytest.raises(TritonTimeoutError) as caught:
            control.wait_until_ready(client, timeout=0.3)
    assert "was not ready within 0.3 s: no Triton answers" in str(caught.value)
    assert caught.value.exit_code == 1
