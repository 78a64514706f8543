"""Pid files that are stale or odd: no command breaks on one, and no stranger is signalled."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.paths import PROJECT
from tritonops.file_lock import start_time
from tritonops.server import embedded, pid_file, stopping
from tritonops.server.command_line import shared_memory
from tritonops.server.ports import free_ports
from tritonops.server.process import Process

PORTS = {"http": 1, "grpc": 2, "metrics": 3}


@pytest.fixture
def stranger():
    """A process that is no Triton; it must survive."""
    started = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield started
    assert started.poll() is None
    started.kill()
    started.wait()


def record(pid, started, ports=PORTS, models_dir="/x"):
    return json.dumps({"pid": pid, "started": started, "ports": ports, "models_dir": models_dir}).encode()


def odd_files():
    me, mine = os.getpid(), start_time(os.getpid()) or 0
    yield from (b"", b"garbage", b"123", b"[]", b"null", b"\xff\xfe", b"\0" * 100, b"[" * 60_000)
    yield b'{"pid": 1' + b"0" * 5000
    yield from (record(pid, None) for pid in (-1, 0, 1, 2**22 + 1, 2**63, 10**30))
    yield from (record(pid, start) for pid, start in ((-1, -1), (0, 0), (1, start_time(1)), (-me, mine), (True, mine)))
    yield from (record(pid, mine) for pid in (str(me), [me], {"pid": me}, float(me), 1e308, None))
    yield from (record(me, start) for start in (mine + 1, None, str(mine), float(mine), True, [mine]))
    wrong_ports: tuple[object, ...] = (None, [], [1, 2, 3], {}, {**PORTS, "http": 0}, {**PORTS, "grpc": "2"})
    yield from (record(me, mine, ports) for ports in wrong_ports)
    wrong_folders: tuple[object, ...] = (None, 1, [], "a\0b")
    yield from (record(me, mine, models_dir=folder) for folder in wrong_folders)
    yield record(me, mine)  # running, and no Triton
    yield b" " * (20 << 20) + record(me, mine)


def make_odd(path, kind):
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "dangling link":
        path.symlink_to("nowhere")
    elif kind == "link to itself":
        path.symlink_to(path.name)
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    return path


KINDS = ("folder", "pipe", "dangling link", "link to itself", "link to a device")


def test_whatever_the_file_holds_no_server_is_found(tmp_path):
    path = tmp_path / "triton.pid"
    for content in odd_files():
        path.write_bytes(content)
        assert embedded.find(tmp_path) is None, content[:100]
        assert pid_file.find_server(path) is None


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_the_file_is_no_server_is_found(tmp_path, kind):
    path = make_odd(tmp_path / "triton.pid", kind)
    assert embedded.find(tmp_path) is None
    assert pid_file.find_process(path) is None


def run(folder, *arguments):
    ports = {f"TRITON_EXPOSE_{name.upper()}": str(number) for name, number in asdict(free_ports()).items()}
    env = {**os.environ, **ports, "TRITON_MODELS_DIR": str(folder / "triton")}
    done = subprocess.run(
        [PROJECT / "inv", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_down_and_status_end_no_stranger(tmp_path, stranger):
    (tmp_path / ".server").mkdir()
    (tmp_path / ".server/triton.pid").write_bytes(record(stranger.pid, start_time(stranger.pid)))
    assert run(tmp_path, "server.down") == (0, "Triton is not running.\n")
    assert run(tmp_path, "server.status")[0] == 3


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_down_and_status_say_that_none_is_up_whatever_the_file_is(tmp_path, kind):
    (tmp_path / ".server").mkdir()
    make_odd(tmp_path / ".server/triton.pid", kind)
    assert run(tmp_path, "server.down") == (0, "Triton is not running.\n")
    assert run(tmp_path, "server.status")[0] == 3


@pytest.mark.parametrize("content", [b"\xff", b"[" * 60_000, record(-1, None)])
def test_a_start_replaces_an_odd_file(tmp_path, start_triton, content):
    models_dir = tmp_path / "triton"
    models_dir.mkdir()
    (tmp_path / ".server").mkdir()
    (tmp_path / ".server/triton.pid").write_bytes(content)
    server = start_triton(models_dir)
    assert embedded.find(tmp_path / ".server") == server


def test_a_start_that_cannot_write_the_file_names_it_and_leaves_no_server(tmp_path, embedded_runtime):
    (tmp_path / "triton").mkdir()
    (tmp_path / ".server/triton.pid").mkdir(parents=True)
    code, output = run(tmp_path, "server.up")
    assert code == 1
    assert f"cannot write to {tmp_path}/.server/triton.pid: Is a directory" in output
    assert "Triton is stopped" not in output
    shm = shared_memory(tmp_path / ".server")
    assert shm == []
    assert [line for line in commands() if f"--model-repository={tmp_path}/triton".encode() in line] == []


def commands():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_users_server_is_named_with_its_owner(stranger):
    script = """
import os, sys
from tritonops.errors import TritonOpsError
from tritonops.server import process, stopping
import pwd
os.setuid(65534)
try:
    stopping.stop(process.Process(int(sys.argv[1]), int(sys.argv[2])), timeout=1)
except TritonOpsError as exc:
    print(exc, exc.hint)
"""
    command = [sys.executable, "-c", script, str(stranger.pid), str(start_time(stranger.pid))]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert f"cannot stop process {stranger.pid}: it belongs to root" in done.stdout, done.stderr


def test_a_process_that_ended_is_not_signalled_again(stranger):
    gone = subprocess.Popen(["true"])
    started = start_time(gone.pid) or 1
    gone.wait()
    stopping.kill(Process(gone.pid, started))
    stopping.kill(Process(stranger.pid, (start_time(stranger.pid) or 0) + 1))
