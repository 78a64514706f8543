"""One server behind SSH: log in, run scripts, copy files, reach its ports."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tritonops.errors import (
    CommandError,
    ConnectionLostError,
    ForwardingRefusedError,
    InputError,
    TritonOpsError,
)
from tritonops.remote.ssh.login import log_in, make_connection
from tritonops.remote.ssh.ssh_config import SshConfig, read_ssh_config

if TYPE_CHECKING:
    import fabric
    import paramiko

    from tritonops.settings import Settings

_FOLDER = re.compile(r"[A-Za-z0-9_./+@][A-Za-z0-9_./+@-]*")
_PROHIBITED = 1  # of RFC 4254, 5.1


@dataclass(frozen=True)
class Output:
    """The exit code and both streams of a script."""

    code: int
    stdout: str
    stderr: str


class Host:
    """A server, connected on first use; close it, or use it in a `with`.

    `folder` is what TRITON_REMOTE_DIR names: absolute, or below the home of the remote user. `refuses_forwarding` is
    true once the SSH server refused to forward a port.
    """

    def __init__(
        self,
        name: str,
        *,
        ssh_config: Path | None = None,
        folder: str = "tritonops",
        gateway: Host | None = None,
    ) -> None:
        if not _FOLDER.fullmatch(folder) or ".." in folder.split("/"):
            raise InputError(f"TRITON_REMOTE_DIR={folder!r}: expected a path of letters, digits and _ . / + @ -")
        self.ssh: SshConfig = read_ssh_config(name, file=ssh_config)
        self.folder = folder
        self.refuses_forwarding = False
        self._gateway = gateway or _last_hop(self.ssh)
        self._fabric: fabric.Connection | None = None
        self._aborted = False

    @classmethod
    def of(cls, name: str, settings: Settings) -> Host:
        """Describe a host with the settings of this checkout."""
        return cls(name, ssh_config=settings.ssh_config, folder=settings.remote_dir)

    @property
    def name(self) -> str:
        """The name that was given to --host."""
        return self.ssh.name

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def open(self) -> None:
        """Log in, through the hops of ProxyJump.

        Raises HostUnreachableError, or its cases for a host key.
        """
        if self._aborted:
            raise self._lost()
        if self._fabric is None:
            if self._gateway:
                self._gateway.open()
            connection = make_connection(self.ssh, self._gateway._fabric if self._gateway else None)
            log_in(connection, self.ssh)
            self._fabric = connection

    def close(self) -> None:
        """End the connection; a running script may go on."""
        if self._fabric:
            self._fabric.close()
        if self._gateway:
            self._gateway.close()
        self._fabric = None

    def abort(self) -> None:
        """Close it for good, from another thread: each later use raises ConnectionLostError."""
        self._aborted = True
        self.close()

    def run(
        self,
        script: str,
        *,
        on_line: Callable[[str], None] | None = None,
        on_error_line: Callable[[str], None] | None = None,
        data: bytes = b"",
        check: bool = True,
    ) -> Output:
        """Run a POSIX shell script without a terminal, in the home folder, as one command.

        The script travels on the shell's stdin, so that nothing in it shows in a process list; `data` follows it, and
        is the stdin of its commands. Raises CommandError where it fails and `check` is set, and ConnectionLostError.
        """
        text = os.fsencode(f"{{\n{script}\n}}" if data else f"{{\n{script}\n}} </dev/null")
        channel = self._session()
        try:
            # A shell that reads its script from stdin may read on into the data, so head takes the exact bytes.
            channel.exec_command(f"exec sh -c 'eval \"$(head -c {len(text)})\"'")
            with contextlib.suppress(OSError):  # a script that fails does not wait for all of its data
                channel.sendall(text + data)
            channel.shutdown_write()
            output = _read_output(channel, on_line, on_error_line)
        except (OSError, EOFError) as exc:
            raise self._lost() from exc
        finally:
            channel.close()
        if output.code == -1:
            raise self._lost()
        if check and output.code:
            raise CommandError(self.name, output.code, output.stderr or output.stdout)
        return output

    def rsync(self, source: str, target: str, *options: str) -> str:
        """Copy `source` to `target` on the host over the same SSH settings, and return rsync's output.

        Raises CommandError and ConnectionLostError.
        """
        shell = " ".join(_rsync_quoted(word) for word in self.ssh.command)
        command = ["rsync", "--rsh", shell, *options, source, f"{self.name}:{target}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as exc:
            hint = "Debian, Ubuntu: sudo apt install rsync; macOS has it"
            raise TritonOpsError("rsync is not installed", hint=hint) from exc
        if done.returncode in (10, 12, 30, 35, 255):
            raise self._lost(done.stderr)
        if done.returncode:
            raise CommandError(self.name, done.returncode, done.stderr)
        return done.stdout

    def channel_to(self, port: int) -> paramiko.Channel:
        """Connect to a loopback port of the host, as a socket would."""
        from paramiko import ChannelException, SSHException

        self.open()
        try:
            return self._transport().open_channel("direct-tcpip", ("127.0.0.1", port), ("127.0.0.1", 0))
        except ChannelException as exc:
            if exc.code == _PROHIBITED:
                self.refuses_forwarding = True
                raise forwarding_refused(self.name) from exc
            raise ConnectionRefusedError(f"{self.name}: nothing answers on its port {port}") from exc
        except (SSHException, OSError, EOFError) as exc:
            raise self._lost() from exc

    def _session(self) -> paramiko.Channel:
        from paramiko import SSHException

        self.open()
        try:
            return self._transport().open_session()
        except (SSHException, OSError, EOFError) as exc:
            raise self._lost() from exc

    def _transport(self) -> paramiko.Transport:
        transport: paramiko.Transport | None = self._fabric.transport if self._fabric else None
        if transport is None or not transport.is_active():
            raise self._lost()
        return transport

    def _lost(self, output: str = "") -> ConnectionLostError:
        detail = f": {output.strip().splitlines()[-1]}" if output.strip() else ""
        return ConnectionLostError(f"{self.name}: the connection was lost{detail}")


def forwarding_refused(name: str) -> ForwardingRefusedError:
    """Word the refusal of AllowTcpForwarding no."""
    return ForwardingRefusedError(
        f"{name}: its SSH server allows no port forwarding, so its Triton cannot be asked from here",
        hint=f"Ask there: inv remote.run --host {name} -- TASK. Or allow it in sshd_config: AllowTcpForwarding local",
    )


def _last_hop(ssh: SshConfig) -> Host | None:
    """Give the last of the jump hosts, which is reached through those before it."""
    hop = None
    for jump in ssh.jumps:
        hop = Host(jump if "://" in jump else f"ssh://{jump}", ssh_config=ssh.file, gateway=hop)
    return hop


def _read_output(channel: paramiko.Channel, *callbacks: Callable[[str], None] | None) -> Output:
    """Read both streams in parallel: a full one would block the other."""
    stdout, stderr = callbacks
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.extend(_lines(channel.makefile_stderr("rb"), stderr)), daemon=True)
    reader.start()
    lines = list(_lines(channel.makefile("rb"), stdout))
    reader.join()
    return Output(channel.recv_exit_status(), "".join(lines), "".join(errors))


def _lines(stream: Iterable[bytes], callback: Callable[[str], None] | None) -> Iterator[str]:
    for raw in stream:
        line = raw.decode(errors="replace")
        if callback:
            callback(line.rstrip("\n"))
        yield line


def _rsync_quoted(word: str) -> str:
    """Quote one word of --rsh as rsync reads it: no backslashes, a quote doubled."""
    return word if word.isalnum() else "'" + word.replace("'", "''") + "'"
