"""The configuration that our ssh reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.remote.sshd import Fleet
from tritonops.errors import HostUnreachableError, InputError
from tritonops.remote.ssh.host import Host
from tritonops.remote.ssh.ssh_options import CONNECT_TIMEOUT, write_config


@pytest.mark.parametrize("name", ["-oProxyCommand=id", "", "a b", "a;b", "$(id)", "a/b", "ssh://-x"])
def test_a_name_that_is_no_host_is_refused(fleet: Fleet, name: str):
    with pytest.raises(InputError, match="is not a host"):
        Host(name, ssh_config=fleet.config)


def test_a_configuration_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="no-such-file"), Host("gpu-01", ssh_config=tmp_path / "no-such-file") as host:
        host.open()


def settings(folder: Path, text: str, name: str = "gpu-01", file_name: str = "ssh_config") -> dict[str, str]:
    file = folder / file_name
    file.write_text(text)
    ours = folder / "ours"
    ours.mkdir()
    command = ["ssh", "-F", str(write_config(ours / "config", file)), "-G", name]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in shown.splitlines() if " " in line)


def test_the_settings_of_a_person_count_and_host_keys_are_always_checked(tmp_path):
    text = "StrictHostKeyChecking no\nForwardAgent yes\nHost gpu-*\n  HostName 10.0.0.1\n  Port 2222\n  User ann\n"
    found = settings(tmp_path, text)
    assert (found["hostname"], found["port"], found["user"]) == ("10.0.0.1", "2222", "ann")
    assert (found["batchmode"], found["stricthostkeychecking"], found["forwardagent"]) == ("yes", "true", "no")


@pytest.mark.parametrize(("text", "seconds"), [("", CONNECT_TIMEOUT), ("Host gpu-01\n  ConnectTimeout 7\n", 7)])
def test_the_connect_timeout_is_the_person_s_where_there_is_one(tmp_path, text, seconds):
    assert settings(tmp_path, text)["connecttimeout"] == str(seconds)


def test_a_path_may_have_spaces_and_characters_that_include_expands(tmp_path):
    assert settings(tmp_path, "Host gpu-01\n  Port 2222\n", file_name="my [ssh] config*")["port"] == "2222"


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o600])
def test_a_file_that_others_may_write_to_is_read_as_ssh_reads_it(tmp_path, mode):
    (tmp_path / "ssh_config").touch(mode=mode)
    (tmp_path / "ssh_config").chmod(mode)
    assert settings(tmp_path, "Host gpu-01\n  Port 2222\n")["port"] == "2222"


def test_no_file_at_all_is_a_configuration_too(fleet: Fleet):
    with Host("root@127.0.0.1", ssh_config=Path("/dev/null")) as host, pytest.raises(HostUnreachableError):
        host.open()


@pytest.mark.parametrize("name", ["::1", "root@::1", "a+b@gpu", "dom\\\\user@gpu", "[::1]"])
def test_a_name_that_ssh_takes_is_taken(fleet: Fleet, name: str):
    assert Host(name, ssh_config=fleet.config).name == name
