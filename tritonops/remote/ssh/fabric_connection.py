"""Fabric's Connection over the SSH connection of a Host, for a team's own tasks: run, sudo, put and get.

It reaches what `ssh` reaches. tritonops itself does without: importing Fabric, which imports paramiko, takes longer
than a deploy with nothing to do.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from io import FileIO
from typing import Any

import fabric  # noqa: TID253 (nothing of tritonops imports this module)
import paramiko  # noqa: TID253

from tritonops.errors import ConnectionLostError, InputError
from tritonops.remote.ssh.host import Host
from tritonops.remote.ssh.multiplex import Session
from tritonops.settings import Settings

_WAKE_INTERVAL = 0.1


@contextmanager
def connect(name: str, settings: Settings) -> Iterator[Connection]:
    """Connect to a host with the settings of this checkout. Raises HostUnreachableError or one of its cases."""
    with Host.of(name, settings) as host, Connection(host) as connection:
        connection.open()
        yield connection


class Connection(fabric.Connection):  # type: ignore[misc]  # Fabric has no types
    """A Fabric Connection that opens its sessions on a Host. Forward ports with `tritonops.remote.ssh.tunnel`."""

    def __init__(self, host: Host) -> None:
        # Nobody's fabric.yml, and no second reader of ssh_config.
        super().__init__(host.name, config=fabric.Config(lazy=True, ssh_config=paramiko.SSHConfig()))
        self._set(_on=host)

    @property
    def is_connected(self) -> bool:
        """Whether it is open: `open` is cheap then."""
        return False

    def open(self) -> None:
        """Log in, unless the host is logged in to."""
        self._on.open()

    def close(self) -> None:
        """Close SFTP and the connection of the host."""
        if self._sftp is not None:
            self._sftp.close()
        self._on.close()

    def create_session(self) -> Channel:
        """Give Fabric's runner a channel."""
        return Channel(self._on)

    def sftp(self) -> paramiko.SFTPClient:
        """Open SFTP, for put and get."""
        if self._sftp is None:
            self._set(_sftp=paramiko.SFTPClient(_Subsystem(self._on)))  # type: ignore[arg-type]
        client: paramiko.SFTPClient = self._sftp
        return client

    def forward_local(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: Fabric would ask paramiko for the channels."""
        raise InputError("forward ports with tritonops.remote.ssh.tunnel.tunnel(host, port)")

    forward_remote = shell = forward_local


class Channel:
    """A session with the methods of paramiko's Channel that Fabric's runner calls."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._session: Session | None = None
        self._is_closed = False

    def exec_command(self, command: str) -> None:
        """Start a command."""
        self._session = self._host.session(command)

    def recv(self, size: int) -> bytes:
        """Read stdout; empty at its end."""
        return self._read(self._open.stdout, size)

    def recv_stderr(self, size: int) -> bytes:
        """Read stderr; empty at its end."""
        return self._read(self._open.stderr, size)

    def _read(self, stream: FileIO, size: int) -> bytes:
        # Another thread may close the channel, which would not wake a read.
        with suppress(ValueError):
            while not self._is_closed:
                if select.select([stream], [], [], _WAKE_INTERVAL)[0]:
                    return stream.read(size) or b""
        return b""

    def sendall(self, data: bytes) -> None:
        """Write to stdin; a command may end without all of it."""
        unsent = memoryview(data)
        with suppress(BrokenPipeError, ValueError):
            while unsent:
                unsent = unsent[self._open.stdin.write(unsent) :]

    def shutdown_write(self) -> None:
        """End stdin."""
        self._open.stdin.close()

    def exit_status_ready(self) -> bool:
        """Whether the command has ended, or the channel was closed."""
        return self._is_closed or self._open.control.has_message()

    def recv_exit_status(self) -> int:
        """Give the exit code. Raises ConnectionLostError where there is none."""
        return self._exit_code

    def get_pty(self, **size: int) -> None:
        """Refuse a terminal, which a session of the master would take from our own stdin."""
        raise InputError("pty=True: sessions have no terminal here; use `ssh -t` for it")

    def close(self) -> None:
        """End the session."""
        self._is_closed = True
        if self._session:
            self._session.close()

    @property
    def _open(self) -> Session:
        assert self._session, "no command was started"
        return self._session

    @cached_property
    def _exit_code(self) -> int:
        if self._is_closed:
            return -1
        code = self._open.control.exit_code()
        if code is None:
            raise ConnectionLostError(f"{self._host.name}: the command was killed, or the connection was lost")
        return code


class _Subsystem:
    """The SFTP subsystem, with the methods of a channel that paramiko's client calls."""

    def __init__(self, host: Host) -> None:
        self._session, self._name = host.session("sftp", subsystem=True), host.name

    def get_name(self) -> str:
        return self._name

    def send(self, data: bytes) -> int:
        return self._session.stdin.write(data)

    def recv(self, size: int) -> bytes:
        return self._session.stdout.read(size) or b""

    def close(self) -> None:
        self._session.close()
