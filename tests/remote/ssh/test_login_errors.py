"""Logins that fail: each says why in the words of ssh, and what to do."""

from __future__ import annotations

import shlex
import socket
import subprocess

import pytest

from tests.remote.sshd import free_port, make_key
from tritonops.errors import (
    ChangedHostKeyError,
    HostUnreachableError,
    InputError,
    TritonOpsError,
    UnknownHostKeyError,
)
from tritonops.remote.ssh.login_errors import is_server_busy, login_error
from tritonops.remote.ssh.login_log import LoginLog


def test_a_host_that_nothing_knows_is_refused_and_the_hint_accepts_it(fleet):
    server = fleet.add("gpu-01", known=False)
    with fleet.host("gpu-01") as host, pytest.raises(UnknownHostKeyError, match="SHA256:") as caught:
        host.run('touch "$HOME/logged-in"')
    assert not (server.home / "logged-in").exists()
    accept(caught.value)
    with fleet.host("gpu-01") as host:
        assert host.run("echo in").stdout == "in\n"


def accept(error: TritonOpsError) -> None:
    subprocess.run(shlex.split(str(error.hint).partition("accept it: ")[2]), check=True, capture_output=True)


def test_the_fingerprint_is_the_one_that_ssh_keygen_shows(fleet):
    server = fleet.add("gpu-01", known=False)
    command = ["ssh-keygen", "-lf", str(server.folder / "host_key.pub")]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]
    with pytest.raises(UnknownHostKeyError) as caught:
        fleet.host("gpu-01").open()
    assert shown in str(caught.value)


def test_a_changed_host_key_is_refused_and_the_hint_removes_the_old_one(fleet):
    server = fleet.add("gpu-01")
    server.stop()
    server.new_host_key()
    server.start()
    with pytest.raises(ChangedHostKeyError, match="has changed: it shows ssh-ed25519 SHA256") as caught:
        fleet.host("gpu-01").open()
    subprocess.run(shlex.split(str(caught.value.hint).partition("old key: ")[2]), check=True, capture_output=True)
    with pytest.raises(UnknownHostKeyError):
        fleet.host("gpu-01").open()


def test_strict_checking_turned_off_in_ssh_config_is_not_obeyed(fleet):
    fleet.add("gpu-01", known=False, options="StrictHostKeyChecking no")
    with pytest.raises(UnknownHostKeyError):
        fleet.host("gpu-01").open()


def test_a_key_that_the_host_does_not_have_is_refused_naming_the_keys_tried(fleet, tmp_path):
    make_key(tmp_path / "other")
    fleet.add("gpu-01", options=f"IdentityFile {tmp_path}/other")
    with pytest.raises(HostUnreachableError, match="refused our keys") as caught:
        fleet.host("gpu-01").open()
    assert f"{tmp_path}/other" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("hostname", "message", "code"),
    [("127.0.0.1", "Connection refused", 3), ("no-such-host.invalid", "Could not resolve hostname", 2)],
    ids=["nothing listens", "no such name"],
)
def test_a_host_that_cannot_be_reached_says_why(fleet, hostname, message, code):
    fleet.describe("gpu-01", port=free_port(), hostname=hostname)
    with pytest.raises(HostUnreachableError, match=message) as caught:
        fleet.host("gpu-01").open()
    assert caught.value.exit_code == code


def test_a_server_that_accepts_and_says_nothing_is_given_up_after_the_connect_timeout(fleet):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        fleet.describe("gpu-01", port=silent.getsockname()[1], options="ConnectTimeout 1")
        with pytest.raises(HostUnreachableError, match="timed out"):
            fleet.host("gpu-01").open()


def test_a_configuration_that_ssh_refuses_is_shown_in_its_words(fleet):
    fleet.describe("gpu-01", port=1, options="Nonsense yes")
    with pytest.raises(InputError, match=r"(?s)cannot read its configuration for gpu-01.*nonsense"):
        fleet.host("gpu-01").open()


def test_a_jump_host_is_gone_through_and_its_key_checked_too(fleet):
    jump = fleet.add("jump")
    server = fleet.add("gpu-01", options="ProxyJump jump")
    with fleet.host("gpu-01") as host:
        assert host.run('echo "$HOME"').stdout == f"{server.home}\n"
    jump.stop()
    jump.new_host_key()
    jump.start()
    with pytest.raises(ChangedHostKeyError, match=f":{jump.port}"):
        fleet.host("gpu-01").open()


def test_an_unknown_jump_host_is_the_one_that_the_hint_accepts(fleet):
    jump = fleet.add("jump", known=False, options="StrictHostKeyChecking no")
    server = fleet.add("gpu-01", options="ProxyJump jump")
    with pytest.raises(UnknownHostKeyError, match=f":{jump.port}") as caught:
        fleet.host("gpu-01").open()
    accept(caught.value)
    with fleet.host("gpu-01") as host:
        assert host.run('echo "$HOME"').stdout == f"{server.home}\n"


def test_a_jump_host_that_refuses_our_keys_is_told_from_the_host_behind_it(fleet, tmp_path):
    make_key(tmp_path / "other")
    fleet.add("jump", options=f"IdentityFile {tmp_path}/other")
    fleet.add("gpu-01", options="ProxyJump jump")
    with pytest.raises(HostUnreachableError, match="Permission denied") as caught:
        fleet.host("gpu-01").open()
    assert f"{tmp_path}/other" in str(caught.value.hint)


def test_a_host_that_its_jump_host_cannot_reach_says_so(fleet):
    fleet.add("jump")
    fleet.describe("gpu-01", port=free_port(), options="ProxyJump jump")
    with pytest.raises(HostUnreachableError, match="Connection refused"):
        fleet.host("gpu-01").open()


BUSY = "kex_exchange_identification: read: Connection reset by peer\nConnection reset by 10.0.0.1 port 22\n"
DENIED = "debug1: Authenticating to h:22 as 'me'\nme@h: Permission denied (publickey).\n"


def test_a_server_that_closes_new_connections_is_busy_and_one_that_refuses_a_key_is_not():
    assert is_server_busy(LoginLog(BUSY, ""))
    assert is_server_busy(LoginLog("kex_exchange_identification: Connection closed by remote host\n", BUSY))
    assert not is_server_busy(LoginLog(DENIED, ""))
    assert not is_server_busy(LoginLog("kex_exchange_identification: Connection closed by remote host\n", DENIED))


PIPE = "banner exchange: Connection to UNKNOWN port 65535: {}\n"


@pytest.mark.parametrize(
    ("text", "is_busy"),
    [
        (PIPE.format("Broken pipe"), True),
        (PIPE.format("Connection reset by peer"), True),
        (PIPE.format("invalid format"), True),
        (PIPE.format("Connection timed out"), False),
        ("Connection timed out during banner exchange\n", False),
    ],
)
def test_a_connection_that_ends_before_the_banner_is_that_of_a_busy_server_and_silence_is_not(text, is_busy):
    assert is_server_busy(LoginLog(text, "")) is is_busy
    assert LoginLog(PIPE.format("Broken pipe"), "ann@bastion: Permission denied (publickey).\n").reason.startswith(
        "ann@"
    )


def test_an_error_without_a_remedy_of_its_own_has_the_command_that_shows_it(tmp_path):
    log = LoginLog("Unable to negotiate with 10.0.0.1 port 22: no matching cipher found.\n", "")
    error = login_error("gpu-01", tmp_path / "my config", log)
    assert "no matching cipher" in str(error)
    assert error.hint == f"To see the same with ssh alone: ssh -F '{tmp_path}/my config' gpu-01 true"


CLOSED = "kex_exchange_identification: Connection closed by remote host\n"
PARTIAL = 'Authenticated using "publickey" with partial success.\nme@h: Permission denied (password).\n'
REVOKED = "@@@@\nREVOKED HOST KEY DETECTED!\nimpersonate this host.\n"


@pytest.mark.parametrize(
    ("own", "hops", "message", "hint"),
    [
        (CLOSED, "/bin/bash: line 1: exec: nosuchnc: not found\n", "nosuchnc", "ssh alone"),
        (CLOSED, "/bin/sh: 1: exec: /x/noexec: Permission denied\n", "noexec", "ssh alone"),
        (PARTIAL, "", "password", "second proof"),
        (REVOKED, "", "marked as revoked", "administrator"),
    ],
    ids=["no program", "not executable", "another proof", "revoked"],
)
def test_a_failure_gets_its_own_reason_and_hint(own, hops, message, hint):
    error = login_error("gpu-01", None, LoginLog(own, hops))
    assert message in str(error)
    assert hint in str(error.hint)
    assert "keys" not in str(error)
