import socket
from typing import Any

import numpy as np
import pytest

from tests.onnx_models import affine, write_model
from tests.processes import wait_for
from tritonops.errors import TokenRefusedError, TritonError, TritonTimeoutError, TritonUnreachableError
from tritonops.triton.client.api_types import ModelStatus, TensorSpec
from tritonops.triton.client.client import TritonClient, connect
from tritonops.triton.client.model_config import as_dict


@pytest.fixture
def client(triton):
    with connect(triton.grpc_url) as client:
        yield client


def test_the_index_knows_loaded_unloaded_and_never_loaded_models(triton, client):
    for name in ("index_loaded", "index_unloaded", "index_never"):
        write_model(triton.models_dir, name)
    client.load("index_loaded", timeout=30)
    client.load("index_unloaded", timeout=30)
    client.unload("index_unloaded", timeout=30)
    rows = {row.name: row for row in client.index() if row.name.startswith("index_")}
    assert rows["index_loaded"] == ModelStatus("index_loaded", 1, "READY", None)
    assert rows["index_unloaded"].state in ("UNLOADING", "UNAVAILABLE")
    assert rows["index_never"] == ModelStatus("index_never", None, None, None)


def test_the_configs_of_many_models_come_at_once_without_those_that_have_none(triton, client):
    names = [f"config_{number}" for number in range(3)]
    for number, name in enumerate(names):
        write_model(triton.models_dir, name, {1: affine(number)})
        client.load(name, timeout=30)
    found = client.configs([names[0], "config_nobody_has", *names[1:]])
    assert [*found] == names
    assert found == {name: client.config(name) for name in names}


def test_a_model_answers_with_its_metadata_its_config_and_its_statistics(triton, client):
    write_model(triton.models_dir, "described", {7: affine(2)})
    client.load("described", timeout=30)
    client.infer("described", {"x": np.ones((2, 3), np.float32)}, timeout=30)

    metadata = client.metadata("described")
    assert metadata.versions == (7,)
    assert metadata.inputs == (TensorSpec("x", "FP32", (-1, 3)),)
    config = as_dict(client.config("described", version=7))
    assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [3]}]
    assert config["instance_group"][0]["kind"] == "KIND_CPU"
    wait_for(lambda: client.statistics("described")[0].inferences)  # counted a moment after the answer
    (counted,) = client.statistics("described")
    assert (counted.version, counted.inferences, counted.executions, counted.failures) == (7, 2, 1, 0)
    assert counted.compute_ms > 0
    assert counted.last_inference.endswith("+00:00")


def test_what_triton_refuses_is_reported_in_its_own_words(client):
    with pytest.raises(TritonError, match=r"Request for unknown model: 'no_such_model' is not found"):
        client.config("no_such_model")


def test_a_closed_port_is_a_server_that_cannot_be_reached():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"127.0.0.1:{unused.getsockname()[1]}"
    with (
        connect(url) as client,
        pytest.raises(TritonUnreachableError, match=rf"no Triton answers at {url}: Connection refused") as caught,
    ):
        client.index()
    assert caught.value.exit_code == 3
    assert "server.status" in str(caught.value.hint)


def test_a_server_that_takes_the_connection_and_says_nothing_cannot_be_reached():
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        connect(f"127.0.0.1:{mute.getsockname()[1]}") as client,
        pytest.raises(TritonUnreachableError, match=r"no answer within 0.2 s"),
    ):
        client.is_ready(timeout=0.2)


def test_a_proxy_for_the_web_is_not_asked_for_a_triton(triton, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("grpc_proxy", "http://127.0.0.1:9")
    with connect(triton.grpc_url) as client:
        client.index()  # raises where nobody answers; readiness would depend on the models of other tests


def test_a_server_with_a_token_answers_whoever_has_it_and_refuses_the_others(tmp_path, start_triton):
    url = start_triton(write_model(tmp_path / "triton", "guarded").parent, token="right").grpc_url
    with connect(url, token="right") as client:
        assert [row.state for row in client.index()] == ["READY"]
    for token, message in ((None, "requires a token for this"), ("wrong", "requires another token than TRITON_TOKEN")):
        with connect(url, token=token) as client:
            assert client.is_ready()
            with pytest.raises(TokenRefusedError, match=message) as caught:
                client.index()
        assert caught.value.exit_code == 1
        assert "TRITON_TOKEN" in str(caught.value.hint)
        assert "wrong" not in f"{caught.value}{caught.value.hint}"


class _Overloaded:
    """A server that is up and has no room for this request: a state that the real one is hardly ever caught in."""

    def __init__(self, status, message):
        from tritonclient.utils import InferenceServerException

        self.error = InferenceServerException(message, status)

    def is_server_live(self, **_):
        return True

    def get_model_config(self, *_, **__):
        raise self.error


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        ("StatusCode.UNAVAILABLE", "Exceeds maximum queue size", TritonError),
        ("StatusCode.DEADLINE_EXCEEDED", "Deadline Exceeded", TritonTimeoutError),
    ],
)
def test_a_server_that_is_up_and_busy_is_not_called_unreachable(status, message, error):
    overloaded: Any = _Overloaded(status, message)
    with pytest.raises(error) as caught:
        TritonClient("there:8001", overloaded).config("clip")
    assert caught.value.exit_code == 1


def test_junk_beside_the_models_is_not_listed(triton, client):
    for name in ("lost+found", ".git", "@eaDir"):
        (triton.models_dir / name).mkdir(exist_ok=True)
    assert not {row.name for row in client.index()} & {"lost+found", ".git", "@eaDir"}


def test_a_dangling_link_beside_the_models_is_named_and_what_is_loaded_goes_on_answering(triton, client):
    write_model(triton.models_dir, "beside_a_link", {1: affine(1, 3)})
    client.load("beside_a_link", timeout=30)
    link = triton.models_dir / "gone"
    link.symlink_to("/nonexistent/gone")
    try:
        with pytest.raises(TritonError, match=r"lists no model while one is a dangling link: .*/gone"):
            client.index()
        assert client.infer("beside_a_link", {"x": np.zeros((1, 3), np.float32)}, timeout=30)["y"][0, 0] == 3
    finally:
        link.unlink()
    assert [row.state for row in client.index() if row.name == "beside_a_link"] == ["READY"]
