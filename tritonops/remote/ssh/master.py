"""OpenSSH's connection to one host, which all commands, copies and forwards share (its ControlMaster).

ssh reads the person's configuration, keys, agent and known_hosts, so a host that `ssh` reaches is reached, and one
that it refuses is refused. Host keys are always checked, and nobody is asked for a password.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tritonops.errors import ConnectionLostError, HostUnreachableError, InputError
from tritonops.process_environment import inherited
from tritonops.remote.ssh.login_slots import login_slots
from tritonops.remote.ssh.multiplex import ControlSocket, MasterGoneError, RequestRefusedError
from tritonops.remote.ssh.session_folder import SessionFolder
from tritonops.remote.ssh.ssh_options import MASTER_OPTIONS

if TYPE_CHECKING:
    from tritonops.remote.ssh.login_log import LoginLog

_AUTHENTICATION_TIMEOUT = 60.0
"""Seconds; ConnectTimeout bounds what comes before it."""
_POLL_INTERVAL = 0.2
_LOOK_INTERVAL = 2.0
"""Seconds between two looks at the log of a login that takes long."""


class Master:
    """One master. Its control socket and logs are in the private folder of this process; `close` deletes them."""

    def __init__(self, name: str, user_config: Path | None) -> None:
        self._name, self._user_config = name, user_config
        self._folder = SessionFolder.enter(self)
        self.control_path, self._log, self._hops = map(self._folder.path_of, ("c", "log", "hops"))
        self._login: subprocess.Popen[bytes] | None = None
        self._control: ControlSocket | None = None
        self._is_closed = False

    def log_in(self, *, on_begun: Callable[[], object] = lambda: None) -> None:
        """Log in, and again after a pause where the server is busy; `on_begun` is called once ssh has been started.

        Raises HostUnreachableError or one of its cases, and InputError for a configuration that ssh refuses.
        """
        config = self._folder.config(self._user_config)
        for slot in login_slots():
            with slot:
                self._require_open()
                code = self._start(config, on_begun)
            if code == 0:
                self._connect()
                return
            from tritonops.remote.ssh.login_errors import is_server_busy

            if not is_server_busy(self.log()):
                break
        from tritonops.remote.ssh.login_errors import login_error

        raise login_error(self._name, self._user_config, self.log())

    def log(self) -> LoginLog:
        """Read what ssh wrote so far."""
        from tritonops.remote.ssh.login_log import LoginLog

        return LoginLog(_read(self._log), _read(self._hops))

    @property
    def control(self) -> ControlSocket:
        """The connection to the master that lasts, another one where a reply came too late. Raises MasterGoneError."""
        if self._control is None or self._control.is_closed:
            self._control = ControlSocket(self.control_path)
        return self._control

    def new_path(self, name: str) -> Path:
        """Give a path in its folder; who makes a file there deletes it."""
        return self._folder.path_of(name)

    def is_alive(self) -> bool:
        """Whether the connection still is there."""
        with suppress(MasterGoneError, RequestRefusedError):
            return self.control.is_alive()
        return False

    def close(self) -> None:
        """End the connection and everything that uses it, from any thread."""
        self._is_closed = True
        if self._login and self._login.poll() is None:
            with suppress(OSError):
                os.killpg(self._login.pid, signal.SIGKILL)
        with suppress(MasterGoneError, RequestRefusedError), self.control as control:
            control.terminate()  # also one that logged in and went to the background just now
        self._folder.leave(self, (self.control_path, self._log, self._hops))

    def _start(self, config: Path, on_begun: Callable[[], object]) -> int:
        """Run ssh until it has logged in and gone to the background, or failed; gives its exit code."""
        options = [word for option in MASTER_OPTIONS for word in ("-o", option)]
        command = ["ssh", "-F", str(config), "-v", "-E", str(self._log), "-MNTS", str(self.control_path), *options]
        self._log.write_bytes(b"")
        try:
            with self._hops.open("wb") as hops:
                # In a session of its own: without a terminal to ask at, and out of reach of Ctrl-C.
                self._login = subprocess.Popen(
                    [*command, "--", self._name],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=hops,
                    env={**inherited(), "SSH_ASKPASS_REQUIRE": "never"},
                    start_new_session=True,
                )
        except FileNotFoundError as exc:
            raise InputError("ssh is not installed", hint="Debian, Ubuntu: sudo apt install openssh-client") from exc
        on_begun()
        with self._login:
            if self._is_closed:  # since before there was a process to end
                self._login.kill()
            return self._wait(self._login)

    def _wait(self, login: subprocess.Popen[bytes]) -> int:
        """Wait for the end of ssh's stdout, which it closes when it goes to the background; a LocalCommand may not."""
        ends, looks_at = None, time.monotonic() + _LOOK_INTERVAL
        with selectors.DefaultSelector() as selector:
            selector.register(login.stdout or 0, selectors.EVENT_READ)
            while not selector.select(_POLL_INTERVAL) and login.poll() is None:
                now = time.monotonic()
                if ends is None and now > looks_at:
                    looks_at = now + _LOOK_INTERVAL
                    ends = now + _AUTHENTICATION_TIMEOUT if self.log().is_authenticating else None
                if ends is not None and now > ends:
                    os.killpg(login.pid, signal.SIGKILL)
                    login.wait()
                    problem = f"it did not finish the login within {_AUTHENTICATION_TIMEOUT:g} s"
                    raise HostUnreachableError(f"{self._name}: {problem}")
        return login.wait()

    def _connect(self) -> None:
        """Stay connected to the control socket: the master ends soon after the last client has gone."""
        try:
            control = self.control
        except MasterGoneError as exc:
            raise ConnectionLostError(f"{self._name}: the connection was lost") from exc
        if self._is_closed:
            control.terminate()
        self._require_open()

    def _require_open(self) -> None:
        if self._is_closed:
            raise ConnectionLostError(f"{self._name}: the connection was closed")


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""
