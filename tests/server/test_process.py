"""Background processes: started, and told apart."""

import os
import time
from dataclasses import replace

import pytest

from tritonops.server.process import spawn, this_process
from tritonops.server.stopping import kill


@pytest.fixture
def run(tmp_path):
    started = []

    def run(script):
        environment = {"PATH": os.environ["PATH"], "GREETING": "hello"}
        started.append(spawn(["sh", "-c", script], folder=tmp_path, environment=environment, log=tmp_path / "log"))
        return started[-1]

    yield run
    for each in started:
        kill(each)


def until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_command_runs_in_its_folder_with_its_environment_and_log(run, tmp_path):
    started = run('echo "$GREETING from $PWD"; echo wrong >&2')
    until(lambda: not started.is_alive())
    assert (tmp_path / "log").read_text() == f"hello from {tmp_path}\nwrong\n"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_it_has_a_session_of_its_own_out_of_reach_of_ctrl_c(run):
    started = run("sleep 60")
    until(lambda: os.getsid(started.pid) == started.pid)
    assert os.getsid(started.pid) != os.getsid(0)


def test_a_later_process_with_the_same_id_is_another_one(run):
    started = run("sleep 60")
    assert started.is_alive()
    assert not replace(started, started=started.started - 1).is_alive()
    assert this_process().is_alive()
