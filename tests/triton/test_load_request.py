"""One load call, and how its failures are told apart."""

import time

import pytest

from tests.onnx_models import write_model
from tests.triton.stub_client import StubClient, row
from tritonops.errors import LoadError, ServerDiedError, TritonError, TritonTimeoutError, TritonUnreachableError
from tritonops.triton.client.waiting import Deadline
from tritonops.triton.disk.served_folder import ServedFolder
from tritonops.triton.load_request import refuse_stuck, request_load

STUCK = 'I1 "loading: m:1"\nE1 "Failed to preinitialize Python stub: no file \'/models/m/1/model.py\'"\n'


def raising(error):
    def on_load(client, name):
        raise error

    return on_load


@pytest.fixture
def disk(tmp_path):
    write_model(tmp_path / "triton", "m")
    (tmp_path / ".server").mkdir()
    return ServedFolder.of(tmp_path / "triton", StubClient.url)


@pytest.mark.parametrize(
    ("raised", "expected", "text"),
    [
        (TritonTimeoutError("late"), TritonTimeoutError, "m: Triton at 127.0.0.1:8001 had not loaded it within 5 s"),
        (TritonUnreachableError("127.0.0.1:8001", "refused"), ServerDiedError, "died while it loaded m"),
        (TritonError("Triton: no", answer="load failed for model 'm': no memory"), LoadError, "m: no memory"),
    ],
)
@pytest.mark.parametrize("has_log", [True, False])
def test_each_failure_becomes_an_error_of_the_load(disk, has_log, raised, expected, text):
    if has_log:
        disk.log.touch()
    with pytest.raises(expected, match=text):
        request_load(StubClient(on_load=raising(raised)), "m", disk, disk.read("m"), Deadline.after(5))


def test_a_load_that_never_ends_is_not_waited_for_where_the_log_shows_it(disk):
    disk.log.touch()

    def hang(client, name):
        disk.log.write_text(STUCK)
        time.sleep(2)

    started = time.monotonic()
    with pytest.raises(LoadError, match="its load cannot end"):
        request_load(StubClient(on_load=hang), "m", disk, disk.read("m"), Deadline.after(30))
    assert time.monotonic() - started < 1.5


def test_the_deadline_ends_the_wait_for_a_load(disk):
    disk.log.touch()
    client = StubClient(on_load=lambda client, name: time.sleep(1))
    with pytest.raises(TritonTimeoutError, match=r"m: Triton at .* had not loaded it within 0\.2 s"):
        request_load(client, "m", disk, disk.read("m"), Deadline.after(0.2))


def test_only_a_loading_model_can_be_stuck(disk):
    disk.log.write_text(STUCK)
    refuse_stuck(disk, "m", (row("m"),))
    refuse_stuck(None, "m", (row("m", state="LOADING"),))
    with pytest.raises(LoadError, match="its load cannot end"):
        refuse_stuck(disk, "m", (row("m", state="LOADING"),))
