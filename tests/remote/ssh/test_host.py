from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.remote.sshd import Fleet, Server, commands_to, wait_until
from tritonops.errors import (
    CommandError,
    ConnectionLostError,
    InputError,
)
from tritonops.remote.ssh.host import Host


def log_in(fleet: Fleet, name: str) -> Host:
    return Host(name, ssh_config=fleet.config)


def test_a_script_runs_in_the_home_of_the_host_and_both_streams_come_back(fleet):
    server = fleet.add("gpu-01")
    with log_in(fleet, "gpu-01") as host:
        output = host.run('echo "$HOME"; echo aside >&2')
    assert (output.code, output.stdout, output.stderr) == (0, f"{server.home}\n", "aside\n")


def test_each_script_is_one_command_whatever_its_length(fleet):
    fleet.add("gpu-01")
    with log_in(fleet, "gpu-01") as host:
        with commands_to(host) as sent:
            host.run("\n".join(f"echo {number}" for number in range(5000)))
        assert len(sent) == 1


def test_a_script_is_never_in_a_process_list(fleet):
    fleet.add("gpu-01")
    with log_in(fleet, "gpu-01") as host:
        listed = host.run("secret=hunter2; cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '").stdout
    assert "eval" in listed
    assert "hunter2" not in listed


def test_much_output_on_both_streams_does_not_block(fleet):
    fleet.add("gpu-01")
    with log_in(fleet, "gpu-01") as host:
        output = host.run("head -c 5000000 /dev/zero >&2; head -c 5000000 /dev/zero")
    assert (len(output.stdout), len(output.stderr)) == (5_000_000, 5_000_000)


def test_lines_are_given_as_they_come(fleet):
    server = fleet.add("gpu-01")
    lines = []

    def seen(line: str) -> None:
        lines.append(line)
        (server.home / line).touch()

    with log_in(fleet, "gpu-01") as host:
        host.run('echo first; until [ -e "$HOME/first" ]; do sleep 0.01; done; echo second', on_line=seen)
    assert lines == ["first", "second"]


def test_a_command_that_fails_shows_its_code_and_its_last_lines(fleet):
    fleet.add("gpu-01")
    with log_in(fleet, "gpu-01") as host, pytest.raises(CommandError, match="gpu-01: exit 3\n  no such thing"):
        host.run("echo no such thing >&2; exit 3")


def test_a_connection_lost_during_a_command_is_not_a_failed_command(fleet):
    server = fleet.add("gpu-01")
    with log_in(fleet, "gpu-01") as host:
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


def test_rsync_goes_the_same_way_and_refuses_the_same_keys(fleet, tmp_path):
    server = fleet.add("gpu-01")
    (tmp_path / "file").write_text("content")
    with log_in(fleet, "gpu-01") as host:
        host.rsync(f"{tmp_path}/file", f"{server.home}/copy")
        fleet.known_hosts.write_text("")
        with pytest.raises(ConnectionLostError):
            host.rsync(f"{tmp_path}/file", f"{server.home}/again")
    assert (server.home / "copy").read_text() == "content"
    assert not (server.home / "again").exists()


@pytest.mark.parametrize("folder", ["", "-rf", "a/../b", "a b", "$HOME", "~/x"])
def test_a_folder_that_a_shell_would_read_differently_is_refused(fleet, folder):
    fleet.describe("gpu-01", port=1)
    with pytest.raises(InputError, match="TRITON_REMOTE_DIR"):
        Host("gpu-01", ssh_config=fleet.config, folder=folder)
