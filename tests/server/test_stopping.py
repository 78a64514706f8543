"""Background processes, stopped with their children."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.server.test_process import run, until
from tritonops.errors import TritonOpsError
from tritonops.server.stopping import kill_stubs, stop

__all__ = ["run"]  # a fixture


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
