"""The failures of a login that have different remedies, each in ssh's own words."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tritonops.display_text import clip
from tritonops.errors import (
    ChangedHostKeyError,
    HostUnreachableError,
    InputError,
    TritonOpsError,
    UnknownHostKeyError,
    UnknownHostNameError,
)
from tritonops.remote.ssh.login_log import LoginLog

_IS_BUSY = re.compile(
    r"(kex|ssh)_exchange_identification: |Exceeded MaxStartups|Not allowed at this time"
    r"|banner exchange: Connection (to|from) (?!.*timed out)"
)
_NO_SUCH_NAME = re.compile(
    r"Could not resolve hostname .*: (Name or service not known|nodename nor servname|No address associated|"
    r"Name does not resolve|hostname contains invalid characters)"
)
_BAD_CONFIG = re.compile(r"[Bb]ad configuration option|Bad owner or permissions|Can't open user config")


def is_server_busy(log: LoginLog) -> bool:
    """Whether the server closed the connection before it looked at any key, as one with too many logins does."""
    return bool(_IS_BUSY.search(log.reason))


def login_error(name: str, user_config: Path | None, log: LoginLog) -> TritonOpsError:
    """Choose the error, its reason and its hint."""
    reason, text = f"{name}: {clip(log.reason)}", log.failed
    if "HOST IDENTIFICATION HAS CHANGED" in text:
        return _changed_key(name, log)
    if "you have requested strict checking" in text and "REVOKED" not in text:
        return _unknown_key(name, user_config, log)
    if _BAD_CONFIG.search(log.reason):
        return InputError(f"ssh cannot read its configuration for {reason}")
    if "REVOKED HOST KEY DETECTED" in text:
        problem = f"{name}: its host key is marked as revoked in known_hosts: {log.host_key}"
        return HostUnreachableError(problem, hint="Ask its administrator for the new key.")
    if "with partial success" in text:
        hint = (
            "Its SSH server wants a second proof besides the key, such as a password, which cannot be asked for here."
        )
        return HostUnreachableError(reason, hint=hint)
    if "Permission denied (" in log.reason:
        return HostUnreachableError(f"{name}: it refused our keys\n{clip(log.reason)}", hint=_keys_hint(log))
    if _NO_SUCH_NAME.search(log.reason):
        hint = "Is the name right? An alias belongs in ~/.ssh/config, or in the file that TRITON_SSH_CONFIG names."
        return UnknownHostNameError(reason, hint=hint)
    if is_server_busy(log):
        return HostUnreachableError(
            reason, hint="Its SSH server, or that of a jump host, closes new connections: MaxStartups, or a firewall?"
        )
    command = shlex.join([*_plain_command(user_config), name, "true"])
    return HostUnreachableError(reason, hint=f"To see the same with ssh alone: {command}")


def _unknown_key(name: str, user_config: Path | None, log: LoginLog) -> TritonOpsError:
    """Word the refusal of an unknown key, and how to accept it."""
    known_as = _known_as(log)
    accept = [*_plain_command(user_config), "-o", "StrictHostKeyChecking=accept-new", *(log.hop or [name]), "true"]
    return UnknownHostKeyError(
        f"{name}: the host key of {known_as} is not known: {log.host_key}",
        hint=f"Compare it with the output of `ssh-keygen -lf {_key_file(log.host_key)}` on that machine; "
        f"if it is the same, accept it: {shlex.join(accept)}",
    )


def _changed_key(name: str, log: LoginLog) -> TritonOpsError:
    """Word the refusal of a server whose key is another one than known_hosts has, and how to remove that one."""
    lines = log.failed
    remove = re.findall(r"ssh-keygen -f .* -R .*", lines)
    offending = re.findall(r"Offending .* key in (.+):\d+", lines)
    command = remove[-1] if remove else f"ssh-keygen -R {shlex.quote(_known_as(log))}"
    if not remove and offending:
        command += f" -f {shlex.quote(offending[-1])}"
    return ChangedHostKeyError(
        f"{name}: the host key of {_known_as(log)} has changed: it shows {log.host_key}",
        hint="Somebody may be listening in, or the machine was reinstalled. Ask its administrator; then remove the old "
        f"key: {command.strip()}",
    )


def _known_as(log: LoginLog) -> str:
    """Give the name of the server in known_hosts."""
    names = re.findall(r"host key is known for (\S+)|ey for (\S+) has changed", log.failed)
    return next((name for pair in reversed(names) for name in pair if name), "the host")


def _keys_hint(log: LoginLog) -> str:
    tried = ", ".join(log.offered_keys) or "none: no key was found, or each needs a passphrase (ssh-add FILE)"
    return f"Tried: {tried}. Its ~/.ssh/authorized_keys must have one of them."


def _plain_command(user_config: Path | None) -> list[str]:
    """Give the ssh command of the hints, without the host."""
    return ["ssh", *(["-F", str(user_config)] if user_config else [])]


def _key_file(host_key: str) -> str:
    kind = next((kind for kind in ("ed25519", "ecdsa", "rsa") if kind in host_key), "ed25519")
    return f"/etc/ssh/ssh_host_{kind}_key.pub"
