"""Connections that end, or fall silent: each command ends in time, in words, and nothing of ours is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.remote.sshd import Fleet, Server, descendants, wait_until
from tritonops.errors import ConnectionLostError, TritonOpsError
from tritonops.remote.ssh import multiplex
from tritonops.remote.ssh.host import Host
from tritonops.remote.ssh.master import Master
from tritonops.remote.ssh.ssh_options import PERSIST
from tritonops.remote.ssh.tunnel import tunnel

IN_TIME = 15.0


def seconds_of(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


@contextmanager
def logged_in(fleet: Fleet, name: str) -> Iterator[Host]:
    with fleet.host(name) as host:
        host.open()
        yield host


def command(host: Host, begun: Path) -> None:
    with pytest.raises(ConnectionLostError, match=host.name):
        host.run(f"touch '{begun}'; sleep 60")


def upload(host: Host, begun: Path) -> None:
    """Send more than pipes and sockets take, to a program that does not read on."""
    with pytest.raises(ConnectionLostError, match=host.name):
        host.run(f"touch '{begun}'; sleep 60; cat >/dev/null", data=bytes(50_000_000))


def copy(host: Host, begun: Path) -> None:
    source = begun.with_name(f"{begun.name}-large")
    with source.open("wb") as file:
        file.truncate(3_000_000_000)
    begun.touch()
    with pytest.raises(TritonOpsError, match=host.name):
        host.rsync(str(source), f"{begun}-copy", "--bwlimit=50000")


def forward(host: Host, begun: Path) -> None:
    with socket.socket() as service:
        service.bind(("127.0.0.1", 0))
        service.listen()
        with tunnel(host, service.getsockname()[1]) as path, socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            begun.touch()
            assert client.recv(1) == b""
            with pytest.raises(ConnectionLostError, match=host.name):
                host.require_forwarding()


WORK: dict[str, Callable[[Host, Path], None]] = {
    "command": command,
    "upload": upload,
    "copy": copy,
    "forward": forward,
}


def master_of(host: Host) -> int:
    """Find the process of the master by the control path in its command line."""
    control = str(host._control_path()).encode()
    found = [path for path in Path("/proc").glob("[0-9]*/cmdline") if control in _bytes_of(path)]
    return int(found[0].parent.name)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def freeze(server: Server) -> None:
    """Stop the processes that serve its connections: packets go on being acknowledged, and nothing answers."""
    assert server.process
    for pid in descendants(server.process.pid, "sshd"):
        os.kill(pid, signal.SIGSTOP)


def thaw_and_stop(server: Server) -> None:
    assert server.process
    for pid in descendants(server.process.pid, "sshd"):
        os.kill(pid, signal.SIGCONT)


def interrupted(fleet: Fleet, tmp_path: Path, interrupt: Callable[[Host, Server], object]) -> dict[str, float]:
    """Run each kind of work on a host of its own, interrupt each, and give the seconds that each took to end."""

    def run(name: str) -> float:
        server = next(server for server in fleet.servers if server.name == name)
        begun = tmp_path / f"begun-{name}"
        with logged_in(fleet, name) as host, ThreadPoolExecutor(1) as pool:
            working = pool.submit(WORK[name], host, begun)
            wait_until(lambda: begun.exists() or working.done(), name)
            interrupt(host, server)
            return seconds_of(working.result)

    for name in WORK:
        fleet.add(name)
    with ThreadPoolExecutor(len(WORK)) as pool:
        return dict(zip(WORK, pool.map(run, WORK), strict=True))


def test_work_whose_connection_is_cut_ends_at_once(fleet, tmp_path):
    took = interrupted(fleet, tmp_path, lambda host, server: server.cut())
    assert max(took.values()) < IN_TIME, took


def test_work_whose_master_is_killed_ends_at_once_and_the_next_command_logs_in_again(fleet, tmp_path):
    took = interrupted(fleet, tmp_path, lambda host, server: os.kill(master_of(host), signal.SIGKILL))
    assert max(took.values()) < IN_TIME, took
    with logged_in(fleet, "command") as host:
        os.kill(master_of(host), signal.SIGKILL)
        with pytest.raises(ConnectionLostError):
            host.run("true")
        host.close()
        assert host.run("echo again").stdout == "again\n"


def test_work_at_a_server_that_falls_silent_ends_within_fifteen_seconds(fleet, tmp_path):
    try:
        took = interrupted(fleet, tmp_path, lambda host, server: freeze(server))
    finally:
        for server in fleet.servers:
            thaw_and_stop(server)
    assert max(took.values()) < IN_TIME, took


KILLED = """
import sys
from pathlib import Path
from tritonops.remote.ssh.host import Host
host = Host("gpu-01", ssh_config=Path(sys.argv[1]))
host.open()
print(host._control_path(), flush=True)
host.run("sleep 60")
"""


def test_a_killed_client_leaves_no_ssh_process_and_the_next_one_removes_its_folder(fleet, tmp_path, monkeypatch):
    fleet.add("gpu-01")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    client = subprocess.Popen([sys.executable, "-c", KILLED, str(fleet.config)], stdout=subprocess.PIPE, text=True)
    with client:
        assert client.stdout
        control = Path(client.stdout.readline().strip())
        client.kill()
    wait_until(lambda: not control.exists(), "the end of the master", timeout=PERSIST + 5)
    assert [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(control).encode() in _bytes_of(path)] == []
    os.utime(control.parent, (0, 0))
    follow_up = "import sys; from tritonops.remote.ssh.session_folder import SessionFolder; SessionFolder().remove()"
    subprocess.run([sys.executable, "-c", follow_up], check=True)
    assert not control.parent.exists()


def test_an_aborted_host_ends_its_command_and_is_used_no_more(fleet, tmp_path):
    fleet.add("gpu-01")
    with logged_in(fleet, "gpu-01") as host, ThreadPoolExecutor(1) as pool:
        working = pool.submit(command, host, tmp_path / "begun")
        wait_until((tmp_path / "begun").exists, "the command")
        host.abort()
        working.result(timeout=IN_TIME)
        with pytest.raises(ConnectionLostError):
            host.run("true")


def ssh_processes(host: Host) -> list[Path]:
    """The processes of ssh that have a file in the private folder of this process."""
    return leftovers(host._control_path().parent)


def test_a_host_that_is_aborted_before_its_ssh_has_been_started_never_logs_in(fleet, monkeypatch):
    fleet.add("gpu-01")
    start = Master._start

    def abort_first(self: Master, *arguments: Any) -> int:
        aborted.abort()
        return start(self, *arguments)

    with logged_in(fleet, "gpu-01") as other, fleet.host("gpu-01") as aborted:
        before = ssh_processes(other)
        with monkeypatch.context() as patch:
            patch.setattr(Master, "_start", abort_first)
            with pytest.raises(ConnectionLostError):
                aborted.open()
        wait_until(lambda: ssh_processes(other) == before, "the end of the other ssh", timeout=3)
        assert other.run("echo in").stdout == "in\n"


def test_after_a_reply_that_came_too_late_a_connection_is_used_and_ended_as_before(fleet, monkeypatch):
    fleet.add("gpu-01")
    monkeypatch.setattr(multiplex, "_TIMEOUT", 0.5)
    with logged_in(fleet, "gpu-01") as host:
        folder, master = host._control_path().parent, master_of(host)
        os.kill(master, signal.SIGSTOP)
        try:
            with pytest.raises(ConnectionLostError):
                host.forward(1)
        finally:
            os.kill(master, signal.SIGCONT)
        monkeypatch.setattr(multiplex, "_TIMEOUT", 20.0)
        host.unforward(host.forward(1), 1)
        with closing(host.session("exec sleep 60")):
            host.close()
            wait_until(lambda: not leftovers(folder), "the end of ssh", timeout=3)
    assert not folder.exists()


INTERRUPTED = """
import signal, sys
from pathlib import Path
from tritonops.remote.ssh.host import Host
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, float(sys.argv[2]))
with Host("gpu-01", ssh_config=Path(sys.argv[1])) as host:
    host.open()
"""


def leftovers(folder: Path) -> list[Path]:
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(folder).encode() in _bytes_of(path)]


@pytest.mark.parametrize("delay", [0.02, 0.06, 0.1])
def test_a_login_that_is_interrupted_leaves_nothing(fleet, tmp_path, monkeypatch, delay):
    fleet.add("gpu-01")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    arguments = [sys.executable, "-c", INTERRUPTED, str(fleet.config), str(delay)]
    subprocess.run(arguments, capture_output=True, check=False)
    wait_until(lambda: not leftovers(tmp_path / "t"), "the end of the master", timeout=3)
    assert not [*(tmp_path / "t").iterdir()]


def test_a_local_command_in_the_background_does_not_delay_the_login(fleet):
    fleet.add("gpu-01", options="PermitLocalCommand yes\nLocalCommand sleep 20 &")
    with fleet.host("gpu-01") as host:
        assert seconds_of(host.open) < IN_TIME / 2
        assert host.run("echo in").stdout == "in\n"


@pytest.mark.parametrize("name", ["/nonexistent", "a%h", "a$Q", "a b", "ü" * 18, "x" * 60])
def test_a_temporary_folder_that_ssh_cannot_use_is_not_used(fleet, tmp_path, monkeypatch, name):
    fleet.add("gpu-01")
    folder = tmp_path / name
    if name != "/nonexistent":
        folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with logged_in(fleet, "gpu-01") as host:
        assert host.run("echo in").stdout == "in\n"
