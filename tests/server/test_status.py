"""The status of the embedded Triton, where there is no server to ask, or one that does not answer."""

from pathlib import Path

import pytest

from tests.onnx_models import write_model
from tritonops.errors import PartialFailureError, ServerDownError, ServerSilentError, ServerStartingError
from tritonops.server import embedded, status
from tritonops.server.embedded import EmbeddedServer
from tritonops.server.ports import Ports
from tritonops.server.process import this_process
from tritonops.server.status import ServerStatus, server_status
from tritonops.triton.client.api_types import ModelStatus


def of(*models, is_starting=False):
    return ServerStatus(1, "grpc", "http", "metrics", Path("triton"), Path("triton.log"), models, is_starting)


def test_a_model_that_is_not_served_is_a_failure_with_its_reason():
    of(ModelStatus("good", 1, "READY", None)).raise_failures()
    with pytest.raises(PartialFailureError, match="bad") as raised:
        of(ModelStatus("good", 1, "READY", None), ModelStatus("bad", 1, "UNAVAILABLE", "no memory")).raise_failures()
    assert "no memory" in str(raised.value)
    assert raised.value.hint == "Its log: triton.log"


def test_while_models_are_being_loaded_a_missing_one_is_no_failure():
    with pytest.raises(ServerStartingError):
        of(ModelStatus("next", None, None, None), is_starting=True).raise_failures()


def test_without_a_server_the_status_is_an_error(tmp_path):
    with pytest.raises(ServerDownError):
        server_status(tmp_path)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A process that is alive, and answers on none of its ports."""
    write_model(tmp_path / "triton", "m")
    (tmp_path / ".server").mkdir()
    found = EmbeddedServer(this_process(), Ports(1, 1, 1), tmp_path / "triton", tmp_path / ".server")
    monkeypatch.setattr(embedded, "find", lambda server_dir: found)
    return found


def test_a_server_that_does_not_answer_is_silent_or_starting(server, monkeypatch):
    with pytest.raises(ServerSilentError):
        server_status(server.server_dir)
    monkeypatch.setattr(embedded, "is_starting", lambda server: True)
    with pytest.raises(ServerStartingError):
        server_status(server.server_dir)


def test_the_reasons_are_those_of_the_index_the_log_and_the_start(server, monkeypatch):
    rows = [ModelStatus("indexed", 1, "UNAVAILABLE", "KIND_GPU")]
    monkeypatch.setattr(status, "list_models", lambda client: rows)
    server.log.write_text("")
    (server.server_dir / "not-loaded.json").write_text('{"reasons": {"m": "left out: a link"}, "answers": {}}')
    models = {row.name: row.reason for row in server_status(server.server_dir).models}
    assert models["m"] == "left out: a link"
    assert "the embedded Triton uses no GPU" in str(models["indexed"])
