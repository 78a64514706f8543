"""OpenSSH's multiplexing protocol, with a real master."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote.sshd import Fleet, free_port
from tritonops.remote.ssh.multiplex import (
    ControlSocket,
    MasterGoneError,
    RequestRefusedError,
    open_session,
)


@pytest.fixture
def control_path(fleet: Fleet) -> Iterator[Path]:
    fleet.add("gpu-01")
    with fleet.host("gpu-01") as host:
        yield host._control_path()


@pytest.mark.parametrize("code", [0, 1, 137, 255])
def test_every_exit_code_comes_back_as_it_is(control_path, code):
    session = open_session(control_path, f"exit {code}")
    assert session.control.exit_code() == code
    session.close()


def test_a_command_that_a_signal_killed_has_no_exit_code(control_path):
    session = open_session(control_path, "kill -9 $$")
    assert session.control.exit_code() is None
    session.close()
    with ControlSocket(control_path) as control:
        assert control.is_alive()


def test_the_environment_and_the_three_streams_are_its_own(control_path):
    session = open_session(control_path, "cat; echo aside >&2")
    session.stdin.write(b"in\n")
    session.stdin.close()
    assert session.stdout.readall() == b"in\n"
    assert session.stderr.readall() == b"aside\n"
    assert session.control.exit_code() == 0
    session.close()


def test_a_session_whose_control_connection_closes_ends(control_path):
    session = open_session(control_path, "sleep 60")
    session.control.close()
    assert session.stdout.read(1) == b""
    session.close()


def test_a_terminated_master_answers_no_more(control_path):
    with ControlSocket(control_path) as waiting:
        with ControlSocket(control_path) as control:
            control.terminate()
        assert not waiting.is_alive()
    with pytest.raises(MasterGoneError):
        ControlSocket(control_path)


def test_a_forward_that_cannot_listen_is_refused(control_path):
    with ControlSocket(control_path) as control, pytest.raises(RequestRefusedError, match="forwarding failed"):
        control.open_forward(Path("/no/such/folder/socket"), free_port())


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_no_descriptor_is_left_open(control_path):
    before = open_files()
    for _ in range(5):
        session = open_session(control_path, "true")
        session.control.exit_code()
        session.close()
    assert open_files() <= before


@pytest.mark.parametrize("answer", [b"", b"\0\0\0\x08\0\0\0\x01\0\0\0\x05", b"\0\0\0\x02xx"])
def test_a_socket_that_speaks_something_else_is_no_master(tmp_path, answer):
    path = tmp_path / "c"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer)

        speaker = threading.Thread(target=speak)
        speaker.start()
        with pytest.raises((MasterGoneError, RequestRefusedError)):
            ControlSocket(path)
        speaker.join()
