"""Unknown and changed host keys are refused."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from tests.remote.sshd import Fleet
from tritonops.errors import (
    ChangedHostKeyError,
    UnknownHostKeyError,
)
from tritonops.remote.ssh.host import Host


def log_in(fleet: Fleet, name: str) -> Host:
    return Host(name, ssh_config=fleet.config)


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
