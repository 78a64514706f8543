"""Log in to a server with the settings of OpenSSH."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tritonops.errors import HostUnreachableError, UnknownHostNameError
from tritonops.remote.ssh.host_keys import changed_key, check_host_keys
from tritonops.remote.ssh.ssh_config import SshConfig

if TYPE_CHECKING:
    import fabric
    import paramiko

_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_DEAD_AFTER = 30_000  # milliseconds without an acknowledgement


def make_connection(ssh: SshConfig, gateway: fabric.Connection | None) -> fabric.Connection:
    """Set up Fabric with the settings that OpenSSH reported, and no others.

    No fabric.yml, and no second reading of ssh_config.
    """
    import fabric
    import paramiko

    logging.getLogger("paramiko").addHandler(logging.NullHandler())  # its messages become our errors
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


def log_in(connection: fabric.Connection, ssh: SshConfig) -> None:
    """Open a connection that notices a dead peer. Raises HostUnreachableError, or its cases for a host key."""
    with _login_errors(ssh):
        connection.open()
    transport: paramiko.Transport = connection.transport
    transport.set_keepalive(round(ssh.keepalive))
    if not isinstance(transport.sock, socket.socket):
        return  # a proxy command, or a channel of another host
    # Paramiko leaves Nagle's algorithm on: each command would wait 40 ms for the server's delayed acknowledgement.
    transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Paramiko sends keepalives and ignores whether they are answered; the kernel does not.
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER)


@contextmanager
def _login_errors(ssh: SshConfig) -> Iterator[None]:
    """Split the failures of a login into the cases with different fixes."""
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
        kind = UnknownHostNameError if exc.errno in _NO_SUCH_NAME else HostUnreachableError
        raise kind(f"{ssh.name}: {ssh.hostname!r} is not a known host name", hint=hint) from exc
    except TimeoutError as exc:
        hint = "Is it running, and does a firewall let us through?"
        raise HostUnreachableError(f"{where}: no answer in {ssh.connect_timeout:g} s", hint=hint) from exc
    except paramiko.ssh_exception.NoValidConnectionsError as exc:
        hint = "Is it running, is the port right, and does an SSH server listen there?"
        raise HostUnreachableError(f"{where}: refused, or no route to it", hint=hint) from exc
    except (OSError, EOFError, paramiko.SSHException) as exc:
        raise HostUnreachableError(f"{where}: {str(exc) or type(exc).__name__}") from exc


def _keys_tried(ssh: SshConfig) -> str:
    keys = [str(path) for path in ssh.identities if path.is_file()]
    tried = ", ".join([*keys, *(["those of the agent"] if ssh.use_agent else [])]) or "none: no key was found"
    return f"Tried: {tried}. Its ~/.ssh/authorized_keys must have one of them."
