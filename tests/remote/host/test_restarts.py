"""Whether a Triton must be restarted, by its record; a release's own inv is a script of the test."""

import json
import os
import subprocess
from dataclasses import asdict, replace

import pytest

from tests.remote.fakes import DONE, RECORD
from tritonops.file_lock import start_time
from tritonops.files import write_json
from tritonops.remote.host import restarts
from tritonops.remote.host.loads import is_log_lost
from tritonops.remote.host.restarts import NOT_RUNNING, Runtime, restart_notice
from tritonops.remote.layout.paths import Layout
from tritonops.remote.layout.records import LOG_LOST, StartRecord
from tritonops.server.pid_file import save_server
from tritonops.server.ports import free_ports
from tritonops.server.process import Process


def started(pid):
    return Process(pid, start_time(pid) or 0)


def rotate(log):
    log.rename(log.with_name("triton.log.1"))
    log.touch()


@pytest.fixture
def running(tmp_path, monkeypatch):
    """A release whose Triton answers, and was started as it is defined now."""
    folder = tmp_path / "releases" / RECORD.id
    (folder / "project").mkdir(parents=True)
    (tmp_path / "shared/.server").mkdir(parents=True)
    write_json(folder / "release.json", asdict(RECORD))
    (folder / "inv").write_text('#!/bin/sh\necho "$@"\nexit ${EXIT:-0}\n')
    (folder / "inv").chmod(0o755)
    layout = Layout(tmp_path)
    monkeypatch.setattr(restarts, "_answers", lambda url, token: True)
    made = Runtime(layout, layout.release(RECORD.id))
    made._save(None)
    with (tmp_path / "shared/.server/triton.log").open("w") as log:
        server = subprocess.Popen(["sleep", "600"], stdout=log)
    save_server(tmp_path / "shared/.server/triton.pid", started(server.pid), free_ports(), tmp_path)
    yield made
    server.kill()
    server.wait()


def test_a_triton_that_runs_as_defined_is_left_alone(running):
    assert running.restart_reasons() == ()
    assert running.up(on_step=pytest.fail) is None


def test_one_without_a_record_or_an_answer_does_not_run(running, monkeypatch):
    monkeypatch.setattr(restarts, "_answers", lambda url, token: False)
    assert running.restart_reasons() == (NOT_RUNNING,)
    running.layout.runtime.unlink()
    assert running.restart_reasons() == (NOT_RUNNING,)


def test_an_answer_of_another_folders_server_is_not_that_of_its_own(running):
    (running.layout.shared / ".server/triton.pid").unlink()
    assert running.restart_reasons() == (NOT_RUNNING,)


def test_a_difference_from_how_it_was_started_is_a_reason(running):
    running.layout.env.write_text("TRITON_EXPOSE_HTTP=9000\n")
    assert running.restart_reasons() == ("TRITON_EXPOSE_HTTP",)


@pytest.mark.parametrize("lose", [lambda log: log.unlink(), lambda log: log.rename(log.with_name("moved")), rotate])
def test_a_log_that_the_server_does_not_write_any_more_is_a_reason(running, lose):
    lose(running.layout.shared / ".server/triton.log")
    assert running.restart_reasons() == (LOG_LOST,)


def another_process(path):
    """The server has ended, and its number was given to another process."""
    save_server(path, replace(started(os.getpid()), started=1), free_ports(), path.parent)


@pytest.mark.parametrize(
    "write",
    [
        another_process,
        lambda path: save_server(path, Process(4_000_000, 1), free_ports(), path.parent),
        lambda path: path.write_text('{"pid": -1}'),
        lambda path: path.write_text('{\n"pid": "x",\n"started": 1\n}'),
        lambda path: path.write_bytes(b"\0"),
        lambda path: path.unlink(),
    ],
    ids=["another process", "ended", "no number", "a word", "damaged", "no record"],
)
def test_without_a_server_of_this_folder_nothing_is_known_of_its_log(running, write):
    (running.layout.shared / ".server/triton.log").unlink()
    write(running.layout.shared / ".server/triton.pid")
    assert not is_log_lost(running.layout)


def test_the_flags_are_those_that_the_code_of_the_release_had(running):
    started = running.release.path / "started.json"
    record = json.loads(started.read_text())
    record["parts"]["flags"] = "older"
    write_json(started, record)
    write_json(running.layout.runtime, record)
    assert running.restart_reasons() == ()


@pytest.mark.parametrize("text", ["0" * 64, "\x00"])
def test_a_record_that_cannot_be_read_is_a_reason(running, text):
    running.layout.runtime.write_text(text)
    assert running.restart_reasons() == ("an earlier version of this project started it",)


def test_it_is_stopped_by_the_release_and_its_record_goes(running):
    running.down(on_step=print)
    assert not running.layout.runtime.exists()


def test_the_end_of_its_log_is_indented_and_empty_where_that_fails(running, monkeypatch):
    assert running.last_lines() == "  server.logs --lines 15"
    monkeypatch.setenv("EXIT", "1")
    assert running.last_lines() == ""


def test_a_restart_is_announced_with_its_reasons_and_the_gap_of_the_last_one():
    assert restart_notice((NOT_RUNNING,), None) == "start Triton: it does not run"
    notice = restart_notice(("flags", "image"), StartRecord({}, gap=1.5))
    assert notice == (
        "restart Triton (flags, image): no answers until its models are loaded, 1.5 s at its last restart"
    )
    assert DONE.gap is None
