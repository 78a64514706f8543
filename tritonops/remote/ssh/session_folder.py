"""The private folder of this process's connections: ssh's control sockets, configuration and logs."""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import re
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from tritonops.process_environment import temporary_dir
from tritonops.remote.ssh.ssh_options import write_config

_PREFIX = "tritonops-ssh-"
_LONGEST = 60
"""Characters of the folder's path. The path of a Unix socket has at most 104 (macOS), and ssh first binds one with 17
more."""
_PLAIN = re.compile("[A-Za-z0-9_./-]+")
_NEW = 60
"""Seconds for which a folder may be without its lock yet."""


_entering = threading.Lock()


class SessionFolder:
    """A folder that other users cannot enter. One that a killed process left is removed by the next process.

    All connections share it, since each file of its own on a disk costs a login a thousandth. Without `tempfile` and
    `shutil`: their imports take a tenth of the time that a login does.
    """

    _current: ClassVar[SessionFolder | None] = None

    def __init__(self) -> None:
        self._users: set[object] = set()
        self._numbers = itertools.count(1)
        self._configs: dict[Path | None, Path] = {}
        name, base = f"{_PREFIX}{os.urandom(6).hex()}", temporary_dir()
        # ssh expands % and $ in the path of a control socket, and does not quote that of a configuration file.
        if (
            not _PLAIN.fullmatch(str(base))
            or len(f"{base}/{name}") > _LONGEST
            or not os.access(base, os.W_OK | os.X_OK)
        ):
            base = Path("/tmp")  # noqa: S108 (mkdir fails for a name that is taken)
        _remove_stale(base)
        self.path = base / name
        self.path.mkdir(mode=0o700)
        try:
            self._lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            self.path.rmdir()
            raise
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    @classmethod
    def enter(cls, user: object) -> SessionFolder:
        """Give the folder of this process, which is made for its first user. `leave` it."""
        with _entering:
            folder = cls._current = cls._current or cls()
            folder._users.add(user)
            return folder

    def leave(self, user: object, files: Iterable[Path]) -> None:
        """Delete the files of a user, and with the last one the folder; nothing happens the second time."""
        with _entering:
            if user not in self._users:
                return
            self._users.remove(user)
            if not self._users:
                SessionFolder._current = None
                self.remove()
                return
        for path in files:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def path_of(self, name: str) -> Path:
        """Give a path for a connection's file that no other connection has."""
        return self.path / f"{name}{next(self._numbers)}"

    def config(self, user_config: Path | None) -> Path:
        """Write the configuration of ssh with the person's own one, once. Raises InputError."""
        with _entering:
            if user_config not in self._configs:
                self._configs[user_config] = write_config(self.path_of("config"), user_config)
            return self._configs[user_config]

    def remove(self) -> None:
        """Delete the folder."""
        _remove(self.path)
        with suppress(OSError):
            os.close(self._lock)


@functools.cache
def _remove_stale(base: Path) -> None:
    """Remove the folders of processes that have ended; once in this process."""
    for folder in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            found = folder.stat()
            if found.st_uid != os.getuid() or time.time() - found.st_mtime < _NEW:
                continue
            if not (folder / "lock").exists():
                _remove(folder)
                continue
            lock = os.open(folder / "lock", os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
            finally:
                os.close(lock)


def _remove(folder: Path) -> None:
    """Remove a folder that has no folders in it; a socket may vanish meanwhile."""
    with suppress(OSError):
        for path in folder.iterdir():
            path.unlink(missing_ok=True)
        folder.rmdir()
