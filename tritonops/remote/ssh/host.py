"""One server behind SSH: log in, run scripts, copy files, reach its ports."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
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
    HostUnreachableError,
    TritonOpsError,
)
from tritonops.remote.ssh.host_keys import changed_key, check_host_keys
from tritonops.remote.ssh.ssh_config import SshConfig, read_ssh_config

if TYPE_CHECKING:
    import fabric
    import paramiko

_PROHIBITED = 1  # of RFC 4254, 5.1
_DEAD_AFTER = 30_000  # milliseconds without an acknowledgement


@dataclass(frozen=True)
class Output:
    """What a script left: its exit code and both streams."""

    code: int
    stdout: str
    stderr: str


class Host:
    """A server, connected on first use; close it, or use it in a `with`.

    `commands` counts the commands sent so far: each costs a round trip and the start of a shell. `refuses_forwarding`
    is true once the host was seen to let nobody through to its ports.
    """

    def __init__(self, name: str, *, ssh_config: Path | None = None, gateway: Host | None = None) -> None:
        self.ssh: SshConfig = read_ssh_config(name, file=ssh_config)
        self.commands = 0
        self.refuses_forwarding = False
        self._gateway = gateway or _last_hop(self.ssh)
        self._fabric: fabric.Connection | None = None
        self._aborted = False

    @property
    def name(self) -> str:
        """The host as the person wrote it."""
        return self.ssh.name

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def open(self) -> None:
        """Log in, through the hops of ProxyJump where there are some.

        Raises HostUnreachableError, or its cases for a host key, with what to do.
        """
        if self._aborted:
            raise self._lost()
        if self._fabric is None:
            if self._gateway:
                self._gateway.open()
            connection = _connection(self.ssh, self._gateway._fabric if self._gateway else None)
            with _login_errors(self.ssh):
                _log_in(connection, self.ssh)
            self._fabric = connection

    def close(self) -> None:
        """End the connection; what a script was doing on the host may go on."""
        if self._fabric:
            self._fabric.close()
        if self._gateway:
            self._gateway.close()
        self._fabric = None

    def abort(self) -> None:
        """Close it for good, from another thread: whoever uses it gets a ConnectionLostError."""
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
        """Run a POSIX shell script without a terminal; each line that it writes is given to its callback as it comes.

        The script travels on the shell's stdin, so that nothing in it shows in a process list; behind it `data`, which
        its commands find on their stdin. Raises CommandError where it fails and `check` holds, and ConnectionLostError.
        """
        text = os.fsencode(f"{{\n{script}\n}}" if data else f"{{\n{script}\n}} </dev/null")
        channel = self._session()
        try:
            # A shell that reads its script from stdin may read on into the data: it is given its very bytes.
            channel.exec_command(f"exec sh -c 'eval \"$(head -c {len(text)})\"'")
            with contextlib.suppress(OSError):  # a script that fails does not wait for all of its data
                channel.sendall(text + data)
            channel.shutdown_write()
            output = _received(channel, on_line, on_error_line)
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
        """Copy `source` to `target` on the host, which has rsync too, over the same SSH settings; return what it said.

        Raises CommandError and ConnectionLostError.
        """
        shell = " ".join(_rsync_quoted(word) for word in self.ssh.command)
        command = ["rsync", "--rsh", shell, *options, source, f"{self.name}:{target}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as exc:
            hint = "Debian, Ubuntu: sudo apt install rsync; macOS has it"
            raise TritonOpsError("rsync is not installed here", hint=hint) from exc
        if done.returncode in (10, 12, 30, 35, 255):
            raise self._lost(done.stderr)
        if done.returncode:
            raise CommandError(self.name, done.returncode, done.stderr)
        return done.stdout

    def channel_to(self, port: int) -> paramiko.Channel:
        """Open a connection to a loopback port of the host, as a socket would be."""
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
        self.commands += 1
        try:
            return self._transport().open_session()
        except (SSHException, OSError, EOFError) as exc:
            raise self._lost() from exc

    def _transport(self) -> paramiko.Transport:
        transport: paramiko.Transport | None = self._fabric.transport if self._fabric else None
        if transport is None or not transport.is_active():
            raise self._lost()
        return transport

    def _lost(self, said: str = "") -> ConnectionLostError:
        detail = f": {said.strip().splitlines()[-1]}" if said.strip() else ""
        return ConnectionLostError(f"{self.name}: the connection was lost{detail}")


def forwarding_refused(name: str) -> ForwardingRefusedError:
    """Word what AllowTcpForwarding no keeps from being done."""
    return ForwardingRefusedError(
        f"{name}: its SSH server allows no port forwarding, so its Triton cannot be asked from here",
        hint=f"Ask there: inv remote.run --host {name} -- TASK. Or allow it in sshd_config: AllowTcpForwarding local",
    )


def _last_hop(ssh: SshConfig) -> Host | None:
    """The server through which `ssh` reaches its host, itself reached through those before it."""
    hop = None
    for jump in ssh.jumps:
        hop = Host(jump if "://" in jump else f"ssh://{jump}", ssh_config=ssh.file, gateway=hop)
    return hop


def _connection(ssh: SshConfig, gateway: fabric.Connection | None) -> fabric.Connection:
    """Fabric with what OpenSSH said, and nothing from anywhere else: no fabric.yml, no second reading of ssh_config."""
    import fabric
    import paramiko

    logging.getLogger("paramiko").addHandler(logging.NullHandler())  # its news reach the person as our errors
    connection = fabric.Connection(
        ssh.hostname,
        user=ssh.user,
        port=ssh.port,
        config=fabric.Config(lazy=True, ssh_config=paramiko.SSHConfig()),
        gateway=gateway or ssh.proxy_command,
        connect_timeout=round(ssh.connect_timeout),
        connect_kwargs={
            "key_filename": [str(path) for path in ssh.identities if path.is_file()],
            "look_for_keys": False,
            "allow_agent": ssh.use_agent,
            "banner_timeout": ssh.connect_timeout,
            "auth_timeout": ssh.connect_timeout,
        },
    )
    check_host_keys(connection.client, ssh)
    return connection


def _log_in(connection: fabric.Connection, ssh: SshConfig) -> None:
    connection.open()
    transport: paramiko.Transport = connection.transport
    transport.set_keepalive(round(ssh.keepalive))
    if not isinstance(transport.sock, socket.socket):
        return  # a proxy command, or a channel of another host
    # Paramiko leaves Nagle's algorithm on: each command would wait 40 ms for the server's delayed acknowledgement.
    transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Paramiko sends keepalives and does not look for answers; the kernel does.
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER)


@contextlib.contextmanager
def _login_errors(ssh: SshConfig) -> Iterator[None]:
    """Split what a login can die of into the cases that a person mends in different ways."""
    import paramiko

    where = f"{ssh.name} ({ssh.user}@{ssh.hostname} port {ssh.port})"
    try:
        yield
    except paramiko.BadHostKeyException as exc:
        raise changed_key(ssh, exc.expected_key, exc.key) from exc
    except paramiko.PasswordRequiredException as exc:
        hint = "Give it to an agent first: ssh-add FILE"
        raise HostUnreachableError(f"{where}: a key file is protected by a passphrase", hint=hint) from exc
    except paramiko.AuthenticationException as exc:
        raise HostUnreachableError(f"{where}: it refused our keys", hint=_keys_tried(ssh)) from exc
    except socket.gaierror as exc:
        hint = "Is the name right? An alias belongs in ~/.ssh/config, or in the file that TRITON_SSH_CONFIG names."
        raise HostUnreachableError(f"{ssh.name}: {ssh.hostname!r} is not a known host name", hint=hint) from exc
    except TimeoutError as exc:
        hint = "Is it up, and does a firewall let us through?"
        raise HostUnreachableError(f"{where}: no answer in {ssh.connect_timeout:g} s", hint=hint) from exc
    except paramiko.ssh_exception.NoValidConnectionsError as exc:
        hint = "Is it up, is the port right, and does an SSH server listen there?"
        raise HostUnreachableError(f"{where}: refused, or no route to it", hint=hint) from exc
    except (OSError, EOFError, paramiko.SSHException) as exc:
        raise HostUnreachableError(f"{where}: {str(exc) or type(exc).__name__}") from exc


def _keys_tried(ssh: SshConfig) -> str:
    keys = [str(path) for path in ssh.identities if path.is_file()]
    tried = ", ".join([*keys, *(["those of the agent"] if ssh.use_agent else [])]) or "none: there is no key here"
    return f"Tried: {tried}. Its ~/.ssh/authorized_keys must have one of them."


def _received(channel: paramiko.Channel, *callbacks: Callable[[str], None] | None) -> Output:
    """Read both streams to their ends: side by side, since a full one would hold up the other."""
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
