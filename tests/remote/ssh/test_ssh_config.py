"""The settings of a host, as OpenSSH reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.remote.sshd import Fleet
from tritonops.errors import (
    InputError,
)
from tritonops.remote.ssh.host import Host
from tritonops.remote.ssh.ssh_config import CONNECT_TIMEOUT, KEEPALIVE, read_ssh_config


def log_in(fleet: Fleet, name: str) -> Host:
    return Host(name, ssh_config=fleet.config)


def test_a_name_that_ssh_would_take_for_an_option_is_refused(fleet):
    with pytest.raises(InputError, match="is not a host"):
        log_in(fleet, "-oProxyCommand=id")


def test_an_ssh_config_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="no-such-file"):
        Host("gpu-01", ssh_config=tmp_path / "no-such-file")


def read(tmp_path, text, name="gpu-01"):
    file = tmp_path / "ssh_config"
    file.write_text(text)
    return read_ssh_config(name, file=file)


def test_settings_are_those_of_ssh_with_its_tokens_expanded(tmp_path):
    text = (
        "Host gpu-01\n  HostName 10.0.0.1\n  Port 2222\n  User ann\n  IdentityFile /keys/%r\n  IdentitiesOnly yes\n"
        "  UserKnownHostsFile /known/%h\n  GlobalKnownHostsFile none\n  ConnectTimeout 7\n  ProxyJump a,b\n"
    )
    found = read(tmp_path, text)
    assert (found.hostname, found.port, found.user) == ("10.0.0.1", 2222, "ann")
    assert (found.identities, found.use_agent) == ((Path("/keys/ann"),), False)
    assert found.known_hosts == (Path("/known/10.0.0.1"),)
    assert (found.connect_timeout, found.keepalive, found.jumps) == (7, KEEPALIVE, ("a", "b"))
    assert found.known_as == "[10.0.0.1]:2222"
    assert found.plain_command == ["ssh", "-F", str(tmp_path / "ssh_config")]
    assert "StrictHostKeyChecking=yes" in found.command


def test_defaults_hold_where_the_file_says_nothing(tmp_path):
    found = read(tmp_path, "", "ann@gpu-02")
    assert (found.name, found.user, found.connect_timeout) == ("ann@gpu-02", "ann", CONNECT_TIMEOUT)
    assert (found.jumps, found.proxy_command, found.host_key_alias) == ((), None, None)
    assert found.known_as == found.address == "gpu-02"


def test_an_error_of_ssh_is_passed_on(tmp_path):
    with pytest.raises(InputError, match=r"ssh cannot read its configuration for gpu-01.*nonsense"):
        read(tmp_path, "nonsense yes\n")
