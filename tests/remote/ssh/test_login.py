"""Logins: jump hosts, keys, and failures that say what to do."""

from __future__ import annotations

import socket

import pytest

from tests.remote.sshd import Fleet, free_port, make_key
from tritonops.errors import (
    ChangedHostKeyError,
    HostUnreachableError,
)
from tritonops.remote.ssh.host import Host


def log_in(fleet: Fleet, name: str) -> Host:
    return Host(name, ssh_config=fleet.config)


def test_a_key_that_the_host_does_not_have_is_refused_naming_the_keys_tried(fleet, tmp_path):
    make_key(tmp_path / "other")
    fleet.add("gpu-01", options=f"IdentityFile {tmp_path}/other")
    with pytest.raises(HostUnreachableError, match="refused our keys") as caught:
        log_in(fleet, "gpu-01").open()
    assert f"{tmp_path}/other" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("hostname", "message", "code"),
    [("127.0.0.1", "refused", 3), ("no-such-host.invalid", "not a known host name", 2)],
    ids=["nothing listens", "no such name"],
)
def test_a_host_that_cannot_be_reached_says_why(fleet, hostname, message, code):
    fleet.describe("gpu-01", port=free_port(), hostname=hostname)
    with pytest.raises(HostUnreachableError, match=message) as caught:
        log_in(fleet, "gpu-01").open()
    assert caught.value.exit_code == code


def test_a_server_that_accepts_and_says_nothing_is_given_up_after_the_connect_timeout(fleet):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        fleet.describe("gpu-01", port=silent.getsockname()[1], options="ConnectTimeout 1")
        with pytest.raises(HostUnreachableError):
            log_in(fleet, "gpu-01").open()


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
