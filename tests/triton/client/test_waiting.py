import itertools
import socket
import time

import pytest

from tests.onnx_models import write_model
from tritonops.errors import TritonError, TritonTimeoutError
from tritonops.triton.client import waiting
from tritonops.triton.client.client import connect
from tritonops.triton.load import load_model
from tritonops.triton.unload import unload_model


def test_a_server_is_ready_until_a_model_fails_to_load(tmp_path, start_triton):
    folder = write_model(tmp_path / "triton", "fails_later")
    with connect(start_triton(folder.parent).grpc_url) as client:
        waiting.require_ready(client)
        waiting.wait_until_ready(client, timeout=30)
        (folder / "1/model.onnx").write_bytes(b"this is no model")
        unload_model(client, "fails_later")
        with pytest.raises(TritonError, match="UNAVAILABLE"):
            load_model(client, "fails_later")
        with pytest.raises(TritonError, match="is not ready") as caught:
            waiting.require_ready(client)
        assert "triton.list" in str(caught.value.hint)


def test_waiting_for_a_server_that_never_comes_ends_at_the_deadline():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with connect(f"127.0.0.1:{unused.getsockname()[1]}") as client, pytest.raises(TritonTimeoutError) as caught:
            waiting.wait_until_ready(client, timeout=0.3)
    assert "was not ready within 0.3 s: no Triton answers" in str(caught.value)
    assert caught.value.exit_code == 1


def test_a_server_is_asked_less_often_the_longer_it_takes_and_once_more_at_the_deadline(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.append(clock.pop() + seconds))
    asked = [clock[0] - 100 for _ in waiting.Deadline.after(20).polls()]
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert asked[0] == 0
    assert asked[-1] == pytest.approx(20)
    assert gaps[:10] == pytest.approx([0.05] * 10)
    assert max(gaps) == pytest.approx(0.5)
    assert gaps[:-1] == sorted(gaps[:-1], key=lambda gap: round(gap, 9))
