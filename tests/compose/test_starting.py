"""A start that leaves out the models that hang or crash it; the waits and loads are told, not run."""

from typing import Any

import pytest

from tests.compose.stub_docker import container, data
from tests.onnx_models import write_model
from tritonops.compose.interruption import Interruption
from tritonops.compose.serving import BadStart, ServedContainer, ServingResult
from tritonops.compose.starting import Start, _ContainerRun
from tritonops.errors import ServiceError
from tritonops.triton.startup.exclude_file import ExcludeFile
from tritonops.triton.startup.loading import Loading

SERVED = ServingResult("127.0.0.1:9001", (), ())


@pytest.fixture
def lines():
    return []


@pytest.fixture
def models_dir(tmp_path):
    for name in ("bad", "good", "worse"):
        write_model(tmp_path / "triton", name)
    return tmp_path / "triton"


@pytest.fixture
def start(stub, models_dir, lines, monkeypatch):
    """Start with these outcomes of the waits, and of the loads by calls."""
    stub.answer("context*", "unix:///var/run/docker.sock\n")
    stub.inspected("inspect*", data())

    def start(*waits: BadStart | ServingResult, loads: tuple[dict[str, str] | None, ...] = (), folder: Any = ...):
        outcomes, answers = iter(waits), iter(loads)

        def wait(self, timeout, *, is_new):
            if isinstance(outcome := next(outcomes), BadStart):
                raise outcome
            return outcome

        def run(self, *arguments, **options):
            if (reasons := next(answers)) is not None:
                self.reasons |= reasons
            return reasons is not None

        monkeypatch.setattr(ServedContainer, "wait", wait)
        monkeypatch.setattr(Loading, "run", run)
        folder = models_dir if folder is ... else folder
        found = Start(stub.docker, folder, None, lines.append, Interruption(lines.append), None)
        return found.wait(container(), 30, is_new=True)

    return start


def restarts(stub):
    return sum(call.startswith("restart") for call in stub.calls)


def test_a_start_that_serves_is_left_alone(start, stub):
    assert start(SERVED) is SERVED
    assert restarts(stub) == 0


def test_a_model_that_is_certain_to_hang_is_left_out_with_its_reason(start, stub, models_dir, lines):
    assert start(BadStart({"bad": "hangs"}, {}), SERVED) is SERVED
    assert restarts(stub) == 1
    assert ExcludeFile(models_dir).reasons() == {"bad": "hangs"}
    assert lines == ["starting again without bad: hangs"]


def test_suspects_are_loaded_by_calls_and_those_that_are_served_are_not_excluded(start, models_dir, stub):
    bad_start = BadStart({}, {"bad": "crashed", "worse": "crashed"})
    assert start(bad_start, SERVED, SERVED, loads=({},)) is SERVED
    assert ExcludeFile(models_dir).reasons() == {}
    assert restarts(stub) == 1


def test_a_suspect_that_crashes_its_load_is_excluded_for_certain(start, models_dir, stub):
    bad_start = BadStart({}, {"bad": "crashed", "worse": "crashed"})
    served = start(bad_start, SERVED, SERVED, SERVED, loads=(None, {"worse": "crashed alone"}))
    assert served is SERVED
    assert ExcludeFile(models_dir).reasons() == {"worse": "crashed alone"}
    assert restarts(stub) == 3


def test_models_in_a_volume_cannot_be_left_out(start):
    with pytest.raises(ServiceError, match="Triton does not start with these models:\n  bad: hangs") as raised:
        start(BadStart({"bad": "hangs"}, {}), folder=None)
    assert "remove them from the volume" in str(raised.value.hint)


def test_a_service_with_a_start_command_of_its_own_is_not_started_for_ever(start):
    bad_start = BadStart({"bad": "hangs"}, {})
    with pytest.raises(ServiceError) as raised:
        start(bad_start, bad_start)
    assert "start command of ml.yml" in str(raised.value.hint)


def test_a_run_ends_with_the_next_start_of_the_container(stub):
    stub.answer("context*", "unix:///var/run/docker.sock\n")
    again = {"Status": "running", "StartedAt": "2026-01-02T00:00:00Z"}
    stub.inspected("inspect*", data(), data(State=again), data(status="exited"))
    stub.answer("logs*", "one\ntwo")
    run = _ContainerRun(stub.docker, container())
    assert run.url == "127.0.0.1:9001"
    assert [run.is_alive(), run.is_alive(), run.is_alive()] == [True, False, False]
    assert run.read_log(4) == ("two", 7)
