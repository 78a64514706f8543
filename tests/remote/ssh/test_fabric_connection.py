"""Fabric's Connection, over the connection of a host."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest
from invoke.exceptions import CommandTimedOut, UnexpectedExit

from tests.remote.sshd import Fleet, Server
from tritonops.errors import InputError
from tritonops.remote.ssh.fabric_connection import Connection
from tritonops.remote.ssh.host import Host


@pytest.fixture
def server(fleet: Fleet) -> Server:
    return fleet.add("gpu-01")


@pytest.fixture
def connection(fleet, server) -> Iterator[Connection]:
    with Host("gpu-01", ssh_config=fleet.config) as host, Connection(host) as made:
        yield made


def test_a_command_gives_both_streams_and_its_exit_code(connection):
    result = connection.run("echo out; echo err >&2; exit 3", hide=True, warn=True, in_stream=False)
    assert (result.stdout, result.stderr, result.exited) == ("out\n", "err\n", 3)
    with pytest.raises(UnexpectedExit):
        connection.run("false", hide=True, in_stream=False)


def test_a_command_has_an_environment_and_a_stdin(connection):
    result = connection.run("echo $GREETING; cat", hide=True, env={"GREETING": "hello"}, in_stream=io.StringIO("x\n"))
    assert result.stdout == "hello\nx\n"


def test_files_are_put_and_got(connection, server, tmp_path):
    (tmp_path / "here").write_bytes(bytes(range(256)) * 1000)
    connection.put(str(tmp_path / "here"), remote=f"{server.home}/there")
    connection.get(f"{server.home}/there", local=str(tmp_path / "back"))
    assert (server.home / "there").read_bytes() == (tmp_path / "back").read_bytes() == (tmp_path / "here").read_bytes()


def test_what_it_cannot_do_is_refused_in_words(connection):
    with pytest.raises(InputError, match="tunnel"):
        connection.forward_local(1234)
    with pytest.raises(InputError, match="pty"):
        connection.run("true", pty=True, hide=True)


def test_a_command_that_takes_too_long_is_ended(connection):
    started = time.monotonic()
    with pytest.raises(CommandTimedOut):
        connection.run("sleep 30", timeout=1, hide=True, in_stream=False)
    assert time.monotonic() - started < 10


def test_a_command_may_end_without_all_of_its_stdin(connection):
    assert connection.run("true", hide=True, in_stream=io.StringIO("x" * 50)).ok
