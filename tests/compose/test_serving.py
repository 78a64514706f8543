"""What a container serves, and why it does not: from its state and its log, without a server."""

import pytest

from tests.compose.stub_docker import container, data
from tests.onnx_models import write_model
from tritonops.compose import serving
from tritonops.compose.definition import Definition
from tritonops.compose.serving import BadStart, ServedContainer, ServingResult, describe, ready_models
from tritonops.errors import ServiceError
from tritonops.triton.client.api_types import ModelStatus

LOADING = 'I1 "loading: slow:1"\n'
NOWHERE = {"Ports": {"8001/tcp": [{"HostIp": "127.0.0.1", "HostPort": "1"}]}}
DEFINITION = Definition("app", "triton", {})


@pytest.fixture
def stub(stub):
    stub.answer("context*", "unix:///var/run/docker.sock\n")
    stub.answer("exec*", code=1)
    stub.answer("version*", '{"Os": "linux", "Arch": "amd64"}')
    return stub


def wait(stub, *states, log="", model_timeout=None, timeout=3.0, folder=None):
    stub.inspected("inspect*", *(states or (data(NetworkSettings=NOWHERE),)))
    stub.answer("logs*", log)
    served = ServedContainer(stub.docker, container(NetworkSettings=NOWHERE), folder, None, model_timeout)
    return served.wait(timeout, is_new=True)


def test_a_model_is_served_when_one_is_ready():
    rows = (ModelStatus("a", 1, "UNAVAILABLE", "no"), ModelStatus("b", 1, "READY", None))
    assert ServingResult("url", rows, ()).serves_any
    assert not ServingResult("url", rows[:1], ()).serves_any


def test_a_paused_container_is_named_with_the_way_out(stub):
    with pytest.raises(ServiceError, match="is paused") as raised:
        wait(stub, data(status="paused"))
    assert raised.value.hint == "docker unpause app-triton-1"


def test_an_ended_container_is_an_error_with_the_end_of_its_log(stub):
    ended = data(status="exited", State={"Status": "exited", "ExitCode": 3, "StartedAt": "2026-01-01T00:00:00Z"})
    with pytest.raises(ServiceError, match="it ended with exit code 3\nIts log ends:\nlast words"):
        wait(stub, ended, log="last words\n")


def test_a_container_that_restarted_has_the_exit_code_of_its_events(stub):
    stub.answer("events*event=die*", "1\n")
    with pytest.raises(ServiceError, match="it ended with exit code 1"):
        wait(stub, data(RestartCount=1), log="")


def test_a_crash_during_one_load_names_that_model(stub):
    ended = data(status="exited", State={"Status": "exited", "ExitCode": 139, "StartedAt": "2026-01-01T00:00:00Z"})
    with pytest.raises(BadStart) as raised:
        wait(stub, ended, log=f"{LOADING}Signal (11) received.\n")
    assert raised.value.reasons == {"slow": "Triton crashed while it loaded this model: it got the signal SIGSEGV"}
    assert raised.value.suspects == {}


def test_a_crash_during_several_loads_makes_them_suspects(stub):
    ended = data(status="exited", State={"Status": "exited", "ExitCode": 139, "StartedAt": "2026-01-01T00:00:00Z"})
    with pytest.raises(BadStart) as raised:
        wait(stub, ended, log=f'{LOADING}I1 "loading: other:1"\nSignal (11) received.\n')
    assert (raised.value.reasons, sorted(raised.value.suspects)) == ({}, ["other", "slow"])


def test_a_load_without_progress_for_longer_than_its_timeout_hangs(stub, monkeypatch):
    monkeypatch.setattr(serving, "_READ_PERIOD", 0.0)
    with pytest.raises(BadStart) as raised:
        wait(stub, log=LOADING, model_timeout=0.2)
    assert raised.value.reasons == {"slow": "still loading after 0.2 s; --model-timeout allows more"}


def test_of_many_loads_that_hang_each_is_a_suspect(stub, monkeypatch):
    monkeypatch.setattr(serving, "_READ_PERIOD", 0.0)
    log = "".join(f'I1 "loading: m{number}:1"\n' for number in range(6))
    with pytest.raises(BadStart) as raised:
        wait(stub, log=log, model_timeout=0.1)
    assert len(raised.value.suspects) == 6


def test_the_timeout_of_a_load_grows_with_its_files(stub, tmp_path):
    write_model(tmp_path, "slow")
    server = ServedContainer(stub.docker, container(), tmp_path, None)
    assert serving._LoadWatcher(server)._timeout("slow") == 60


def test_a_start_that_takes_too_long_is_an_error(stub):
    with pytest.raises(ServiceError, match=r"it was not ready after 0\.3 s"):
        wait(stub, log="", timeout=0.3)


@pytest.mark.parametrize(
    ("states", "line"),
    [
        ([], "serving now: nothing"),
        ([data(status="exited")], "serving now: nothing (app-triton-1 is exited)"),
        ([data(status="paused")], "serving now: app-triton-1 (triton:latest), but it is paused"),
    ],
)
def test_what_serves_is_said_in_one_line(stub, states, line):
    stub.answer("ps*", " ".join(state["Id"] for state in states))
    stub.inspected("inspect*", *states)
    assert describe(stub.docker, DEFINITION, None) == line


def test_the_models_of_a_server_that_does_not_answer_are_unknown(stub, monkeypatch):
    monkeypatch.setattr(serving, "_QUICK", 0.1)
    assert ready_models(stub.docker, container(NetworkSettings=NOWHERE), None) is None
