"""Host keys: only those in known_hosts are accepted, which is not Fabric's default."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from tritonops.errors import ChangedHostKeyError, HostUnreachableError, UnknownHostKeyError

if TYPE_CHECKING:
    import paramiko

    from tritonops.remote.ssh.ssh_config import SshConfig


def check_host_keys(client: paramiko.SSHClient, ssh: SshConfig) -> None:
    """Make `client` refuse each server whose key is not in known_hosts."""
    from paramiko import MissingHostKeyPolicy

    class Refuse(MissingHostKeyPolicy):
        def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
            raise unknown_key(ssh, key)

    client.set_missing_host_key_policy(Refuse())
    for kind, key in _known_keys(ssh).items():
        client.get_host_keys().add(ssh.address, kind, key)  # where paramiko looks; it ignores HostKeyAlias


def _known_keys(ssh: SshConfig) -> dict[str, paramiko.PKey]:
    from paramiko import HostKeys

    known = HostKeys()
    for path in ssh.known_hosts:
        try:
            if path.is_file():
                known.load(str(path))
        except OSError as exc:
            raise HostUnreachableError(f"{ssh.name}: cannot read the known host keys in {path}: {exc}") from exc
    return dict(known.lookup(ssh.known_as) or {})


def unknown_key(ssh: SshConfig, key: paramiko.PKey) -> UnknownHostKeyError:
    """Word the refusal of an unknown key, and how to accept it."""
    accept = [*ssh.plain_command, "-o", "StrictHostKeyChecking=accept-new", ssh.name, "true"]
    return UnknownHostKeyError(
        f"{ssh.name}: the host key of {ssh.known_as} is not known: {key.get_name()} {key.fingerprint}",
        hint=f"Compare it with the output of `ssh-keygen -lf {_key_file(key)}` on that machine; "
        f"if it is the same, accept it: {shlex.join(accept)}",
    )


def changed_key(ssh: SshConfig, expected: paramiko.PKey, got: paramiko.PKey) -> ChangedHostKeyError:
    """Word the refusal of a server whose key differs from known_hosts."""
    files = " or ".join(str(path) for path in ssh.known_hosts if path.is_file())
    return ChangedHostKeyError(
        f"{ssh.name}: the host key of {ssh.known_as} has changed: known {expected.get_name()} "
        f"{expected.fingerprint}, shown {got.get_name()} {got.fingerprint}",
        hint="Somebody may be listening in, or the machine was reinstalled. Ask its administrator; then remove the old "
        f"key: ssh-keygen -R {shlex.quote(ssh.known_as)} -f {files}",
    )


def _key_file(key: paramiko.PKey) -> str:
    kind = next((kind for kind in ("ed25519", "ecdsa", "rsa") if kind in key.get_name()), "ed25519")
    return f"/etc/ssh/ssh_host_{kind}_key.pub"
