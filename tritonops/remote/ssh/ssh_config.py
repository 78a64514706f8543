"""The configuration that our `ssh` reads: the person's own one, after the few settings that we insist on.

OpenSSH takes the first value of each setting, and gives its configuration file to the `ssh` of each hop of ProxyJump.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
import subprocess
from pathlib import Path

from tritonops.errors import InputError

CONNECT_TIMEOUT = 10
_NAME = re.compile(r"(ssh://)?[A-Za-z0-9_][A-Za-z0-9_.@:%\[\]-]*")
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


def write_config(folder: Path, name: str, user_config: Path | None) -> Path:
    """Write the configuration into `folder`; `user_config` replaces ~/.ssh/config and the system's, as `ssh -F` does.

    Raises InputError where `user_config` is missing, or ssh refuses the permissions of ~/.ssh/config.
    """
    if user_config:
        if not user_config.exists():
            raise InputError(f"there is no SSH configuration {user_config}", hint="TRITON_SSH_CONFIG names it.")
        path = user_config.absolute()
        if set(str(path)) & _EXPANDED:
            path = folder / "user_config"
            path.symlink_to(user_config.absolute())
        included = f'Include "{path}"\n'
    else:
        _refuse_permissions(name)
        included = "Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n"
    config = folder / "config"
    config.write_text(_FIRST + included + _DEFAULTS)
    return config


def _refuse_permissions(name: str) -> None:
    """Refuse the configuration files that ssh itself refuses to read, in its words: it includes them unchecked."""
    try:
        found = Path(pwd.getpwuid(os.getuid()).pw_dir, ".ssh/config").stat()
    except (OSError, KeyError):
        return
    if found.st_uid in (0, os.getuid()) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return
    done = subprocess.run(["ssh", "-G", name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"ssh cannot read its configuration: {done.stderr.strip()}")
