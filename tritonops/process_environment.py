"""The environment of this process: what child processes inherit, users, and where the system keeps their files.

Settings come from `settings.py`. Everything below it that needs a variable of the process gets it here.
"""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path


def inherited() -> dict[str, str]:
    """Copy the environment, as a child process would inherit it."""
    return dict(os.environ)


def who() -> str:
    """Name the person and the machine, for locks and records."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def user_name(uid: int) -> str:
    """Name a user; one that this machine does not know by its number."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def home() -> Path:
    """Give HOME. Raises ValueError where it is not an absolute path."""
    folder = os.environ.get("HOME", "")
    if not folder.startswith("/"):
        raise ValueError("needs HOME, which is not set to an absolute path")
    return Path(folder)


def cache_dir() -> Path:
    """Give the folder of tritonops below XDG_CACHE_HOME, by default ~/.cache, as the XDG Base Directory Specification
    defines it: a relative path is ignored. Raises RuntimeError for a user without a home.
    """
    configured = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(configured) if configured.startswith("/") else Path("~/.cache").expanduser()) / "tritonops"


def temporary_dir() -> Path:
    """Give TMPDIR where it is an absolute path, by default /tmp."""
    configured = os.environ.get("TMPDIR", "")
    return Path(configured) if configured.startswith("/") else Path("/tmp")  # noqa: S108 (POSIX names it)


def runtime_dir() -> Path:
    """Give the folder of this user's sockets: XDG_RUNTIME_DIR, by default systemd's."""
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
