from __future__ import annotations

import shlex
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from tests.remote.sshd import Fleet, Server, free_port, make_key, wait_until
from tritonops.errors import (
    ChangedHostKeyError,
    CommandError,
    ConnectionLostError,
    HostUnreachableError,
    InputError,
    UnknownHostKeyError,
)
from tritonops.remote.ssh.host import Host
from tritonops.remote.ssh.tunnel import tunnel


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
        host.run("\n".join(f"echo {number}" for number in range(5000)))
        assert host.commands == 1


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


def test_a_host_that_nothing_knows_is_refused_and_the_hint_accepts_it(fleet):
    server = fleet.add("gpu-01", known=False)
    with log_in(fleet, "gpu-01") as host, pytest.raises(UnknownHostKeyError, match="SHA256:") as caught:
        host.run('touch "$HOME/logged-in"')
    assert not (server.home / "logged-in").exists()
    subprocess.run(shlex.split(str(caught.value.hint).partition("accept it: ")[2]), check=True, capture_output=True)
    with log_in(fleet, "gpu-01") as host:
        assert host.run("echo in").stdout == "in\n"


def test_the_fingerprint_is_the_one_that_ssh_keygen_shows(fleet):
    server = fleet.add("gpu-01", known=False)
    command = ["ssh-keygen", "-lf", str(server.folder / "host_key.pub")]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]
    with pytest.raises(UnknownHostKeyError) as caught:
        log_in(fleet, "gpu-01").open()
    assert shown in str(caught.value)


def test_a_changed_host_key_is_refused(fleet):
    server = fleet.add("gpu-01")
    server.stop()
    server.new_host_key()
    server.start()
    with pytest.raises(ChangedHostKeyError, match="has changed") as caught:
        log_in(fleet, "gpu-01").open()
    assert "ssh-keygen -R" in str(caught.value.hint)


def test_strict_checking_turned_off_in_ssh_config_is_not_obeyed(fleet):
    fleet.add("gpu-01", known=False, options="StrictHostKeyChecking no")
    with pytest.raises(UnknownHostKeyError):
        log_in(fleet, "gpu-01").open()


def test_a_host_is_known_by_its_alias_where_ssh_config_gives_one(fleet):
    server = fleet.add("gpu-01", known=False, options="HostKeyAlias our-gpu")
    fleet.known_hosts.write_text(f"our-gpu {server.host_key}")
    with log_in(fleet, "gpu-01") as host:
        assert host.run("echo in").stdout == "in\n"


def test_a_key_that_the_host_does_not_have_is_refused_naming_the_keys_tried(fleet, tmp_path):
    make_key(tmp_path / "other")
    fleet.add("gpu-01", options=f"IdentityFile {tmp_path}/other")
    with pytest.raises(HostUnreachableError, match="refused our keys") as caught:
        log_in(fleet, "gpu-01").open()
    assert f"{tmp_path}/other" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("hostname", "message"),
    [("127.0.0.1", "refused"), ("no-such-host.invalid", "not a known host name")],
    ids=["nothing listens", "no such name"],
)
def test_a_host_that_cannot_be_reached_says_why_and_exits_3(fleet, hostname, message):
    fleet.describe("gpu-01", port=free_port(), hostname=hostname)
    with pytest.raises(HostUnreachableError, match=message) as caught:
        log_in(fleet, "gpu-01").open()
    assert caught.value.exit_code == 3


def test_a_server_that_accepts_and_says_nothing_is_given_up_after_the_connect_timeout(fleet):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        fleet.describe("gpu-01", port=silent.getsockname()[1], options="ConnectTimeout 1")
        with pytest.raises(HostUnreachableError):
            log_in(fleet, "gpu-01").open()


def test_a_name_that_ssh_would_take_for_an_option_is_refused(fleet):
    with pytest.raises(InputError, match="is not a host"):
        log_in(fleet, "-oProxyCommand=id")


def test_an_ssh_config_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="no-such-file"):
        Host("gpu-01", ssh_config=tmp_path / "no-such-file")


def test_a_jump_host_is_gone_through_and_its_key_checked_too(fleet):
    jump = fleet.add("jump")
    server = fleet.add("gpu-01", options="ProxyJump jump")
    with log_in(fleet, "gpu-01") as host:
        assert host.run('echo "$HOME"').stdout == f"{server.home}\n"
        assert "gpu-01" not in (jump.folder / "sshd.log").read_text()
    jump.stop()
    jump.new_host_key()
    jump.start()
    with pytest.raises(ChangedHostKeyError, match="jump"):
        log_in(fleet, "gpu-01").open()


def test_two_jump_hosts_are_taken_in_the_order_in_which_they_stand(fleet):
    fleet.add("outer")
    fleet.add("inner")
    server = fleet.add("gpu-01", options="ProxyJump outer,inner")
    with log_in(fleet, "gpu-01") as host:
        assert host.run('echo "$HOME"').stdout == f"{server.home}\n"
    assert "Accepted publickey" in (fleet.folder / "outer" / "sshd.log").read_text()
    assert "Accepted publickey" in (fleet.folder / "inner" / "sshd.log").read_text()


def test_a_connection_cut_under_way_is_told_from_a_command_that_failed(fleet):
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


def test_a_tunnel_reaches_a_loopback_port_of_the_host_through_a_socket_of_ours_alone(fleet):
    fleet.add("gpu-01")
    with socket.socket() as service, log_in(fleet, "gpu-01") as host:
        service.bind(("127.0.0.1", 0))
        service.listen()
        with tunnel(host, service.getsockname()[1]) as address, socket.socket(socket.AF_UNIX) as client:
            path = Path(address.removeprefix("unix:"))
            assert path.parent.stat().st_mode & 0o077 == 0
            client.connect(str(path))
            accepted, _ = service.accept()
            with accepted:
                client.sendall(b"ping")
                assert accepted.recv(4) == b"ping"
                accepted.sendall(b"pong")
                assert client.recv(4) == b"pong"
        assert not path.exists()
        assert host.commands == 0


def test_a_tunnel_to_a_port_where_nothing_listens_closes_the_connection(fleet):
    fleet.add("gpu-01")
    with (
        log_in(fleet, "gpu-01") as host,
        tunnel(host, free_port()) as address,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(address.removeprefix("unix:"))
        assert client.recv(1) == b""
