"""The options of our `ssh`, and the configuration that it reads: the person's own, after the few that we insist on.

OpenSSH takes the first value of each setting, and gives its configuration file to the `ssh` of each hop of ProxyJump.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from tritonops.errors import InputError

CONNECT_TIMEOUT = 10
PERSIST = 10
"""Seconds for which a master outlives a process that was killed."""
MASTER_OPTIONS = (
    f"ControlPersist={PERSIST}",
    "ServerAliveInterval=3",
    "ServerAliveCountMax=3",
    "ClearAllForwardings=yes",
    "RemoteCommand=none",
    "Tunnel=no",
)
"""On the command line of the master alone, not for the hops of ProxyJump."""
_NAME = re.compile(r"(ssh://)?[A-Za-z0-9_:+\[\\][A-Za-z0-9_.@:%+\[\]\\-]*")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_EXPANDED = set('*?[]"\\')
"""Characters that Include does not take as they are."""
_FIRST = """\
BatchMode yes
StrictHostKeyChecking yes
ForwardAgent no
ForwardX11 no
"""
_DEFAULTS = f"""\
Match all
ConnectTimeout {CONNECT_TIMEOUT}
"""


def check_name(name: str) -> None:
    """Raise InputError for a name that is no host, such as one that ssh would take for an option."""
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is not a host", hint="Give an alias of ssh_config, a host name, or user@host.")


def write_config(config: Path, user_config: Path | None) -> Path:
    """Write the configuration; `user_config` replaces ~/.ssh/config and the system's, as `ssh -F` does.

    Raises InputError where `user_config` is missing or cannot be read.
    """
    own = _included(config, user_config) if user_config else b"Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n"
    config.write_bytes(_FIRST.encode() + own + b"\n" + _DEFAULTS.encode())
    return config


def _included(config: Path, user_config: Path) -> bytes:
    """Include a file, or copy its lines: ssh checks who may write to an included file, and not one that -F names."""
    path = user_config.absolute()
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, os.getuid()) or found.st_mode & _OTHERS_WRITE:
            return path.read_bytes()
    except OSError as exc:
        hint = "TRITON_SSH_CONFIG names it."
        raise InputError(f"the SSH configuration {user_config} cannot be read: {exc.strerror}", hint=hint) from exc
    if set(str(path)) & _EXPANDED:
        link = config.with_name(f"{config.name}-user")
        link.symlink_to(path)
        path = link
    return os.fsencode(f'Include "{path}"')
