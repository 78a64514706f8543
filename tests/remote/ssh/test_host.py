from __future__ import annotations

import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from tests import programs
from tests.remote.sshd import Server, commands_to, wait_until
from tritonops.errors import (
    CommandError,
    ConnectionLostError,
    InputError,
    LoginShellError,
    TritonOpsError,
)
from tritonops.remote.ssh import host as host_module
from tritonops.remote.ssh.host import Host, Output


def test_a_script_runs_in_the_home_of_the_host_and_both_streams_come_back(fleet):
    server = fleet.add("gpu-01")
    with fleet.host("gpu-01") as host:
        output = host.run('echo "$HOME"; echo aside >&2')
    assert (output.code, output.stdout, output.stderr) == (0, f"{server.home}\n", "aside\n")


def test_each_script_is_one_command_whatever_its_length(fleet):
    fleet.add("gpu-01")
    with fleet.host("gpu-01") as host:
        with commands_to(host) as sent:
            host.run("\n".join(f"echo {number}" for number in range(5000)))
        assert len(sent) == 1


def test_a_script_is_never_in_a_process_list(fleet):
    fleet.add("gpu-01")
    with fleet.host("gpu-01") as host:
        listed = host.run("secret=hunter2; cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '").stdout
    assert "eval" in listed
    assert "hunter2" not in listed


def test_much_output_on_both_streams_does_not_block(fleet):
    fleet.add("gpu-01")
    with fleet.host("gpu-01") as host:
        output = host.run("head -c 5000000 /dev/zero >&2; head -c 5000000 /dev/zero")
    assert (len(output.stdout), len(output.stderr)) == (5_000_000, 5_000_000)


def test_lines_are_given_as_they_come(fleet):
    server = fleet.add("gpu-01")
    lines = []

    def seen(line: str) -> None:
        lines.append(line)
        (server.home / line).touch()

    with fleet.host("gpu-01") as host:
        host.run('echo first; until [ -e "$HOME/first" ]; do sleep 0.01; done; echo second', on_line=seen)
    assert lines == ["first", "second"]


@pytest.mark.parametrize("cdpath", ["$HOME/src", "/nonexistent:$HOME/src:", "$HOME/src:."])
def test_a_cdpath_of_the_host_leads_to_no_other_folder(fleet, cdpath):
    server = fleet.add("gpu-01")
    for name in ("tritonops", "src/tritonops"):
        (server.home / name).mkdir(parents=True)
    (server.home / ".bashrc").write_text(f'export CDPATH="{cdpath}"\n')
    with fleet.host("gpu-01") as host:
        output = host.run('cd -- "$HOME"; cd -- tritonops && pwd')
        fed = host.run('cd -- "$HOME"; cd -- tritonops && pwd', data=b"x")
    assert output.stdout == fed.stdout == f"{server.home}/tritonops\n"


def test_a_command_that_fails_shows_its_code_and_its_last_lines(fleet):
    fleet.add("gpu-01")
    with fleet.host("gpu-01") as host, pytest.raises(CommandError, match="gpu-01: exit 3\n  no such thing"):
        host.run("echo no such thing >&2; exit 3")


def test_a_connection_lost_during_a_command_is_not_a_failed_command(fleet):
    server = fleet.add("gpu-01")
    with fleet.host("gpu-01") as host:
        cutter = threading.Thread(target=cut_when, args=(server.home / "on", server))
        cutter.start()
        with pytest.raises(ConnectionLostError, match="gpu-01"):
            host.run('touch "$HOME/on"; sleep 5')
        cutter.join()
        with pytest.raises(ConnectionLostError):
            host.run("true")


def cut_when(path: Path, server: Server) -> None:
    wait_until(path.exists, path.name)
    server.cut()


GREETINGS = {
    "words": "echo Welcome; echo aside >&2",
    "without an end of line": "printf 'last login: today'",
    "like our answers": "printf 'env\\tx\\ncurrent\\treleases/1\\n'; echo '{\"error\": {}}'",
    "thousands of lines": "seq 20000",
}


@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
def test_what_a_login_shell_prints_is_no_output_of_a_script_and_does_not_disturb_rsync(fleet, tmp_path, greeting):
    server = fleet.add("gpu-01")
    (server.home / ".bashrc").write_text(f"{greeting}\n")
    (tmp_path / "file").write_text("content")
    with fleet.host("gpu-01") as host:
        assert host.run("echo out; echo err >&2") == Output(0, "out\n", "err\n")
        host.rsync(f"{tmp_path}/file", f"{server.home}/a copy")
    assert (server.home / "a copy").read_text() == "content"


SHELLS = {"fish": "fish", "tcsh": "tcsh", "zsh": "zsh", "dash": "dash"}


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_a_script_runs_under_any_login_shell_that_runs_commands(fleet, tmp_path, shell):
    programs.require(shell)
    server = fleet.add("gpu-01", settings={"ForceCommand": f'{shell} -c "$SSH_ORIGINAL_COMMAND"'})
    (tmp_path / "file").write_text("content")
    with fleet.host("gpu-01") as host:
        assert host.run("x='a b'; echo \"$x\"; exit 3", check=False) == Output(3, "a b\n", "")
        host.rsync(f"{tmp_path}/file", f"{server.home}/a copy")
    assert (server.home / "a copy").read_text() == "content"


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ('bash -r -c "$SSH_ORIGINAL_COMMAND"', "restricted"),
        ("/usr/sbin/nologin", "not for logins.*not available"),
        ("/bin/false", "not for logins"),
        ("echo backup only; exit 0", "another command than ours.*backup only"),
        ("kill -9 $$", "killed before it ran anything"),
    ],
    ids=["a restricted shell", "nologin", "false", "a forced command", "killed"],
)
def test_a_login_shell_that_does_not_run_our_command_is_an_error_with_its_cause(fleet, command, problem):
    fleet.add("gpu-01", settings={"ForceCommand": command})
    with fleet.host("gpu-01") as host, pytest.raises(LoginShellError, match=problem):
        host.run("true")


def test_a_shell_that_a_signal_killed_is_not_a_lost_connection(fleet):
    fleet.add("gpu-01")
    with fleet.host("gpu-01") as host:
        output = host.run("echo begun; kill -9 $$", check=False)
        assert (output.code, output.stdout) == (255, "begun\n")
        assert "killed by a signal" in output.stderr
        assert host.run("exit 255", check=False) == Output(255, "", "")


def test_with_one_session_at_a_time_one_command_follows_the_other(fleet, tmp_path):
    server = fleet.add("gpu-01", settings={"MaxSessions": "1"})
    (tmp_path / "file").write_text("content")
    with fleet.host("gpu-01") as host:
        assert [host.run(f"echo {number}").stdout for number in range(20)] == [f"{number}\n" for number in range(20)]
        host.rsync(f"{tmp_path}/file", f"{server.home}/copy")
        assert host.run('cat "$HOME/copy"').stdout == "content"


def test_a_server_without_further_sessions_is_named_with_its_setting(fleet, monkeypatch):
    monkeypatch.setattr(host_module, "_SESSION_TIMEOUT", 0.2)
    fleet.add("gpu-01", settings={"MaxSessions": "0"})
    with fleet.host("gpu-01") as host, pytest.raises(TritonOpsError, match="no further session") as caught:
        host.run("true")
    assert "MaxSessions" in str(caught.value.hint)


HEADS = {
    "no head": "PATH=/nowhere",
    "head is killed": "PATH=$HOME/bin:$PATH",
    "the login shell reads all of stdin": "cat >/dev/null",
    "the login shell reads a line of stdin": "read -r line",
}


@pytest.mark.parametrize("begin", HEADS.values(), ids=HEADS)
def test_a_script_that_did_not_arrive_whole_is_no_success(fleet, begin):
    server = fleet.add("gpu-01", settings={"ForceCommand": f'{begin}; /bin/sh -c "$SSH_ORIGINAL_COMMAND"'})
    head = server.home / "bin/head"
    head.parent.mkdir()
    head.write_text("#!/bin/sh\nkill -9 $$\n")
    head.chmod(0o755)
    with fleet.host("gpu-01") as host, pytest.raises(LoginShellError):
        host.run('touch "$HOME/ran"; cat', data=b"the data of a release\n" * 100)
    assert not (server.home / "ran").exists()


def test_a_stdin_that_cannot_be_read_is_no_success(fleet):
    class Broken(io.RawIOBase):
        parts = iter([b"begun", OSError(5, "Input/output error")])

        def read(self, size=-1):
            part = next(self.parts)
            if isinstance(part, OSError):
                raise part
            return part

    fleet.add("gpu-01")
    with fleet.host("gpu-01") as host, pytest.raises(TritonOpsError, match="stdin cannot be read"):
        host.stream("cat", stdout=Collected(), stderr=Collected(), stdin=cast(BinaryIO, Broken()))


def test_a_stdin_that_does_not_block_is_waited_for(fleet):
    fleet.add("gpu-01")
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with fleet.host("gpu-01") as host, open(reading, "rb", buffering=0) as stdin:
        stdout = Collected()

        def write_later() -> None:
            with open(writing, "wb", buffering=0) as target:
                target.write(b"late")

        threading.Timer(0.3, write_later).start()
        assert host.stream("cat", stdout=stdout, stderr=Collected(), stdin=stdin) == 0
    assert bytes(stdout.data) == b"late"


def test_what_send_env_names_reaches_the_host(fleet, monkeypatch):
    fleet.add("gpu-01", options="SendEnv MY_*", settings={"AcceptEnv": "MY_*"})
    monkeypatch.setenv("MY_TEAM", "vision")
    with fleet.host("gpu-01") as host:
        assert host.run('echo "$MY_TEAM"').stdout == "vision\n"


def test_output_that_is_no_text_does_not_break_rsync(fleet, tmp_path):
    server = fleet.add("gpu-01", settings={"ForceCommand": "printf 'caf\\351\\n' >&2; sh -c \"$SSH_ORIGINAL_COMMAND\""})
    (tmp_path / "file").write_text("content")
    with fleet.host("gpu-01") as host:
        host.rsync(f"{tmp_path}/file", f"{server.home}/copy")
    assert (server.home / "copy").read_text() == "content"


def test_threads_that_share_a_host_share_its_login(fleet):
    fleet.add("gpu-01")
    with fleet.host("gpu-01") as host, ThreadPoolExecutor(4) as pool:
        assert [*pool.map(lambda number: host.run(f"echo {number}").stdout, range(4))] == ["0\n", "1\n", "2\n", "3\n"]


def test_bytes_pass_unharmed_in_both_directions(fleet):
    fleet.add("gpu-01")
    data = bytes(range(256)) * 5000
    with fleet.host("gpu-01") as host, io.BytesIO(data) as stdin:
        stdout, stderr = Collected(), Collected()
        assert host.stream("cat; echo aside >&2", stdout=stdout, stderr=stderr, stdin=stdin) == 0
    assert (bytes(stdout.data), bytes(stderr.data)) == (data, b"aside\n")


class Collected:
    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        self.data += data

    def end(self) -> None:
        pass


@pytest.mark.parametrize("folder", ["", "-rf", "a/../b", "a b", "$HOME", "~/x"])
def test_a_folder_that_a_shell_would_read_differently_is_refused(fleet, folder):
    fleet.describe("gpu-01", port=1)
    with pytest.raises(InputError, match="TRITON_REMOTE_DIR"):
        Host("gpu-01", ssh_config=fleet.config, folder=folder)
