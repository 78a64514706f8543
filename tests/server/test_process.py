"""Background processes: started, told apart, stopped with their children."""

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tritonops.errors import TritonOpsError
from tritonops.server.process import kill, kill_stubs, spawn, stop, this_process


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


def test_stop_waits_for_a_process_that_ends_by_itself(run):
    started = run("trap 'exit 0' TERM; while :; do sleep 0.05; done")
    time.sleep(0.2)
    assert stop(started, timeout=5)
    assert not started.is_alive()


def test_stop_kills_one_that_does_not_end_in_time_and_its_children(run, tmp_path):
    started = run(f"trap '' TERM; sleep 61 & echo $! >{tmp_path}/child; while :; do sleep 0.05; done")
    until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip())
    child = int((tmp_path / "child").read_text())
    assert not stop(started, timeout=0.2)
    assert not started.is_alive()
    until(lambda: not is_running(child))


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_one_with_nothing_left_to_do_is_killed_at_once(run):
    started = run("trap '' TERM; while :; do sleep 0.05; done")
    time.sleep(0.2)
    began = time.monotonic()
    assert stop(started, timeout=30, is_over=lambda: True)
    assert time.monotonic() - began < 5


def test_only_stubs_with_the_marker_are_killed(tmp_path):
    stub = tmp_path / "triton_python_backend_stub"
    stub.write_text("#!/bin/sh\nread line\n")
    stub.chmod(0o755)
    with (
        subprocess.Popen([stub, "tritonops-marked-1"], stdin=subprocess.PIPE) as marked,
        subprocess.Popen([stub, "tritonops-other-1"], stdin=subprocess.PIPE) as other,
    ):
        try:
            until(lambda: b"stub" in Path(f"/proc/{marked.pid}/cmdline").read_bytes())
            kill_stubs("tritonops-marked")
            assert marked.wait(5) == -signal.SIGKILL
            assert other.poll() is None
        finally:
            other.kill()


def test_a_process_of_another_user_is_named_with_its_owner(run, monkeypatch):
    started = run("sleep 60")
    with monkeypatch.context() as patched:
        patched.setattr(os, "kill", lambda *arguments: (_ for _ in ()).throw(PermissionError()))
        with pytest.raises(TritonOpsError, match=f"cannot stop process {started.pid}: it belongs to") as raised:
            stop(started, timeout=1)
    assert "run the command as" in str(raised.value.hint)
