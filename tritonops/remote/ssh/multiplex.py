"""OpenSSH's multiplexing protocol: sessions and port forwards over the connection of a running `ssh` master.

OpenSSH documents it as PROTOCOL.mux, version 4. `ssh -S` speaks it too, one process for each request, and then turns
an exit code of 255, a signal, a lost connection and a refusal by the master into one exit code of 255.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from tritonops.errors import TritonOpsError
from tritonops.process_environment import inherited

_VERSION = 4
_HELLO = 0x00000001
_NEW_SESSION, _ALIVE_CHECK, _TERMINATE = 0x10000002, 0x10000004, 0x10000005
_OPEN_FORWARD, _CLOSE_FORWARD = 0x10000006, 0x10000007
_PERMISSION_DENIED, _FAILURE, _EXIT_MESSAGE = 0x80000002, 0x80000003, 0x80000004
_LOCAL = 1
_UNIX_SOCKET = 0xFFFFFFFE
"""The port number that marks a listen address as the path of a Unix socket."""
_NO_ESCAPE = 0xFFFFFFFF
_TIMEOUT = 20.0
"""Seconds for the reply to a request; the master notices a silent server earlier."""


class MasterGoneError(TritonOpsError):
    """The master does not answer: its connection has ended."""


class RequestRefusedError(TritonOpsError):
    """The master, or the SSH server, refused a session or a forward; the message is the master's reason."""


class ControlSocket:
    """One connection to a master's control socket. A session keeps its own one, which tells its exit code.

    Without a session it serves any number of requests, one at a time, of any thread.
    """

    def __init__(self, path: Path) -> None:
        self._requests = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_TIMEOUT)
        try:
            self._socket.connect(str(path))
            self._send(_HELLO, _VERSION)
            kind, version = struct.unpack(">II", self._receive()[:8])
        except (OSError, struct.error) as exc:
            self.close()
            raise MasterGoneError(f"no SSH master answers at {path}: {exc}") from exc
        if (kind, version) != (_HELLO, _VERSION):
            self.close()
            raise RequestRefusedError(f"this ssh speaks version {version} of its multiplexing protocol, not {_VERSION}")

    def __enter__(self) -> ControlSocket:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, by us or since a reply came too late."""
        return self._socket.fileno() < 0

    def close(self) -> None:
        """Disconnect; the master ends the session of this connection."""
        self._socket.close()

    def new_session(self, command: str, files: Sequence[int], *, subsystem: bool = False) -> None:
        """Start a command, or a subsystem, with these descriptors for stdin, stdout and stderr."""
        no_tty = no_x11 = no_agent = 0
        # The master passes on what its SendEnv names; scripts expect the locale of the host.
        environment = [f"{name}={value}" for name, value in inherited().items() if not name.startswith(("LC_", "LANG"))]
        words = [os.fsencode(word) for word in ("", command, *environment)]
        flags = (no_tty, no_x11, no_agent, int(subsystem), _NO_ESCAPE)
        self._request(_NEW_SESSION, b"", *flags, *words, files=files)

    def has_message(self) -> bool:
        """Whether the exit code is there, or the session has ended without one."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def exit_code(self) -> int | None:
        """Wait for the end of the session; None where a signal ended the command, or the connection ended."""
        code = None
        with suppress(OSError, struct.error):
            self._socket.settimeout(None)
            while message := self._receive():
                if int.from_bytes(message[:4]) == _EXIT_MESSAGE:
                    code = int.from_bytes(message[8:12])
        return code

    def open_forward(self, listen: Path, port: int) -> None:
        """Forward a Unix socket of this machine to a loopback port of the host."""
        self._request(_OPEN_FORWARD, *_forward(listen, port))

    def close_forward(self, listen: Path, port: int) -> None:
        """Stop listening; open connections go on."""
        self._request(_CLOSE_FORWARD, *_forward(listen, port))

    def is_alive(self) -> bool:
        """Whether the master answers."""
        try:
            self._request(_ALIVE_CHECK)
        except MasterGoneError:
            return False
        return True

    def terminate(self) -> None:
        """End the master, and with it the connection and all of its sessions."""
        with suppress(MasterGoneError, RequestRefusedError):
            self._request(_TERMINATE)

    def _request(self, kind: int, *fields: int | bytes, files: Sequence[int] = ()) -> None:
        """Send a request and wait for its reply. Raises MasterGoneError and RequestRefusedError."""
        try:
            with self._requests:
                self._send(kind, 0, *fields)
                for file in files:
                    socket.send_fds(self._socket, [b"\0"], [file])
                reply = self._receive()
        except OSError as exc:
            self.close()  # a reply that comes late would be taken for that of the next request
            raise MasterGoneError(f"the SSH master ended: {exc}") from exc
        if not reply:
            raise MasterGoneError("the SSH master ended")
        if int.from_bytes(reply[:4]) in (_FAILURE, _PERMISSION_DENIED):
            raise RequestRefusedError(reply[12:].decode(errors="replace"))

    def _send(self, *fields: int | bytes) -> None:
        message = b"".join(map(_packed, fields))
        self._socket.sendall(_packed(message))

    def _receive(self) -> bytes:
        """Receive a message; empty where the master closed the connection."""
        size = self._receive_exactly(4)
        return self._receive_exactly(int.from_bytes(size)) if size else b""

    def _receive_exactly(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            if not (more := self._socket.recv(size - len(received))):
                return b""
            received += more
        return received


@dataclass(frozen=True)
class Session:
    """A command on the host: our ends of its stdin, stdout and stderr, and the connection that tells its exit code."""

    control: ControlSocket
    stdin: FileIO
    stdout: FileIO
    stderr: FileIO

    def close(self) -> None:
        """Close what is open; a command that is running loses its connection."""
        self.control.close()
        for file in (self.stdout, self.stderr, self.stdin):
            file.close()


def open_session(path: Path, command: str, *, subsystem: bool = False) -> Session:
    """Start a command at the master that listens at `path`. Raises MasterGoneError and RequestRefusedError."""
    with ExitStack() as ours, ExitStack() as theirs:
        control = ours.enter_context(ControlSocket(path))
        (stdin, write), (read, stdout), (read_errors, stderr) = (_pipe(ours, theirs, number) for number in range(3))
        control.new_session(command, (stdin.fileno(), stdout.fileno(), stderr.fileno()), subsystem=subsystem)
        ours.pop_all()
        return Session(control, write, read, read_errors)


def _pipe(ours: ExitStack, theirs: ExitStack, number: int) -> tuple[FileIO, FileIO]:
    """Make a pipe, as its reading and its writing end; the master gets the one that it reads stdin (0) from."""
    reading, writing = os.pipe()
    ends = FileIO(reading), FileIO(writing, "w")
    for end, owner in zip(ends, (theirs, ours) if number == 0 else (ours, theirs), strict=True):
        owner.enter_context(end)
    return ends


def _forward(listen: Path, port: int) -> tuple[int | bytes, ...]:
    return _LOCAL, os.fsencode(listen), _UNIX_SOCKET, b"127.0.0.1", port


def _packed(field: int | bytes) -> bytes:
    return struct.pack(">I", field) if isinstance(field, int) else struct.pack(">I", len(field)) + field
