"""One server behind SSH: log in, run scripts, copy files, reach its ports."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tritonops.errors import (
    CommandError,
    ConnectionLostError,
    ForwardingRefusedError,
    HostUnreachableError,
    InputError,
    TritonOpsError,
)
from tritonops.remote.ssh.exchange import AfterMarker, Lines, Sink, StdinError, exchange
from tritonops.remote.ssh.master import Master
from tritonops.remote.ssh.multiplex import (
    MasterGoneError,
    RequestRefusedError,
    Session,
    open_session,
)
from tritonops.remote.ssh.ssh_options import check_name

if TYPE_CHECKING:
    from tritonops.settings import Settings

_FOLDER = re.compile(r"[A-Za-z0-9_./+@][A-Za-z0-9_./+@-]*")
_RSH = Path(__file__).with_name("rsh.sh")
_PROHIBITED = "open failed: administratively prohibited"
_KILLED = 255
_SESSION_TIMEOUT = 10.0
"""Seconds for which a session is requested again where the server has no more of them (MaxSessions)."""
_POLL_INTERVAL = 0.02


@dataclass(frozen=True)
class Output:
    """The exit code and both streams of a script."""

    code: int
    stdout: str
    stderr: str


class Host:
    """A server, connected on first use; close it, or use it in a `with`.

    `folder` is what TRITON_REMOTE_DIR names: absolute, or below the home of the remote user.
    """

    def __init__(self, name: str, *, ssh_config: Path | None = None, folder: str = "tritonops") -> None:
        check_name(name)
        if not _FOLDER.fullmatch(folder) or ".." in folder.split("/"):
            raise InputError(f"TRITON_REMOTE_DIR={folder!r}: expected a path of letters, digits and _ . / + @ -")
        self._name, self._ssh_config, self.folder = name, ssh_config, folder
        self._master: Master | None = None
        self._is_aborted = False
        self._opening = threading.Lock()
        self._marker = f"tritonops-{os.urandom(8).hex()}"

    @classmethod
    def of(cls, name: str, settings: Settings) -> Host:
        """Describe a host with the settings of this checkout."""
        return cls(name, ssh_config=settings.ssh_config, folder=settings.remote_dir)

    @property
    def name(self) -> str:
        """The name that was given to --host."""
        return self._name

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def open(self, *, on_begun: Callable[[], object] = lambda: None) -> None:
        """Log in; `on_begun` is called once ssh has been started.

        Raises HostUnreachableError or one of its cases, and InputError for a configuration that ssh refuses.
        """
        with self._opening:
            if self._is_aborted:
                raise self._lost()
            if self._master is None:
                self._log_in(on_begun)

    def _log_in(self, on_begun: Callable[[], object]) -> None:
        try:
            self._master = master = Master(self._name, self._ssh_config)
            if self._is_aborted:  # since before there was a master to close
                raise self._lost()
            master.log_in(on_begun=on_begun)
        except BaseException as exc:
            self.close()
            if self._is_aborted:
                raise self._lost() from exc
            if isinstance(exc, OSError):
                raise HostUnreachableError(f"{self._name}: ssh cannot be started: {exc}") from exc
            raise

    def close(self) -> None:
        """End the connection; a running script may go on."""
        master, self._master = self._master, None
        if master:
            master.close()

    def abort(self) -> None:
        """Close it for good, from another thread: each later use raises ConnectionLostError."""
        self._is_aborted = True
        self.close()

    def run(
        self,
        script: str,
        *,
        on_line: Callable[[str], None] | None = None,
        on_error_line: Callable[[str], None] | None = None,
        data: bytes = b"",
        check: bool = True,
        errors: str = "replace",
    ) -> Output:
        """Run a POSIX shell script without a terminal, in the home folder, as one command.

        The script travels on the shell's stdin, so that nothing in it shows in a process list; `data` follows it, and
        is the stdin of its commands. `errors` is for bytes of stdout that are no UTF-8. Raises CommandError where it
        fails and `check` is set, ConnectionLostError, and LoginShellError where the login shell does not run it.
        """
        stdout, stderr = Lines(on_line, errors=errors), Lines(on_error_line)
        code = self.stream(script, stdout=stdout, stderr=stderr, data=data)
        output = Output(code, stdout.text, stderr.text)
        if check and output.code:
            raise CommandError(self._name, output.code, output.stderr or output.stdout)
        return output

    def stream(
        self, script: str, *, stdout: Sink, stderr: Sink, data: bytes = b"", stdin: BinaryIO | None = None
    ) -> int:
        """Run a script as `run` does, with both streams as bytes, and give its exit code.

        After `data` comes all of `stdin`, which has to be unbuffered. Raises ConnectionLostError and LoginShellError.
        """
        # With CDPATH, `cd tritonops` may lead to another folder of that name.
        begin = f"echo {self._marker}; echo {self._marker} >&2; unset CDPATH; {{"
        if data or stdin is not None:
            text = os.fsencode(f"{begin}\n{script}\n}}")
            # A shell that reads its script from stdin may read on into the data, so head takes the exact bytes. Where
            # somebody else read some of them, the script has lost its beginning, and does not run.
            read = f'script="$(head -c {len(text)})"'
            command = f'exec sh -c \'{read}; case $script in "echo {self._marker};"*) eval "$script" ;; esac\''
        else:
            text, command = os.fsencode(f"{begin}\n{script}\n}} </dev/null"), "exec sh -s"
        marker = self._marker.encode()
        output, errors = AfterMarker(marker, stdout), AfterMarker(marker, stderr)
        session = self.session(command)
        try:
            code = exchange(session, text + data, stdin=stdin, stdout=output, stderr=errors)
        except StdinError as exc:
            raise TritonOpsError(f"{self._name}: {exc}") from exc
        finally:
            session.close()
        if code is None and not self._is_alive():
            raise self._lost()
        if not output.is_found:
            from tritonops.remote.ssh.login_shell import login_shell_error

            raise login_shell_error(self._name, code, output.before + errors.before)
        if code is None:
            stderr.write(b"the shell there was killed by a signal; did it run out of memory?\n")
            return _KILLED
        return code

    def session(self, command: str, *, subsystem: bool = False) -> Session:
        """Start a command, or a subsystem such as sftp, in a session of the open connection. Close it.

        Raises ConnectionLostError, and TritonOpsError where the server allows no further session.
        """
        ends = time.monotonic() + _SESSION_TIMEOUT
        while True:
            try:
                return open_session(self._control_path(), command, subsystem=subsystem)
            except MasterGoneError as exc:
                raise self._lost() from exc
            except OSError as exc:
                raise TritonOpsError(f"{self._name}: a session cannot be opened: {exc}") from exc
            except RequestRefusedError as exc:
                # The server may not have noticed the end of the last session yet.
                if time.monotonic() > ends:
                    hint = "MaxSessions in its sshd_config, or another program with many sessions?"
                    raise TritonOpsError(f"{self._name}: it allows no further session: {exc}", hint=hint) from exc
                time.sleep(_POLL_INTERVAL)

    def rsync(self, source: str, target: str, *options: str) -> str:
        """Copy `source` to `target` on the host over the open connection, and return rsync's output.

        Raises CommandError and ConnectionLostError.
        """
        shell = " ".join(map(_rsync_quoted, ["sh", str(_RSH), str(self._control_path()), self._marker]))
        command = ["rsync", "--protect-args", "--rsh", shell, *options]
        try:
            done = subprocess.run(
                [*command, source, f"host:{target}"], capture_output=True, text=True, errors="replace", check=False
            )
        except FileNotFoundError as exc:
            hint = "Debian, Ubuntu: sudo apt install rsync; macOS has it"
            raise TritonOpsError("rsync is not installed", hint=hint) from exc
        if done.returncode and not self._is_alive():
            raise self._lost(done.stderr)
        if done.returncode:
            raise CommandError(self._name, done.returncode, done.stderr)
        return done.stdout

    def forward(self, port: int) -> Path:
        """Forward a new Unix socket of this machine to a loopback port of the host; `unforward` it.

        A connection to the socket ends at once where nothing listens there: `require_forwarding` knows more.
        """
        master = self._opened()
        listen = master.new_path("forward")
        try:
            master.control.open_forward(listen, port)
        except MasterGoneError as exc:
            raise self._lost() from exc
        except RequestRefusedError as exc:
            raise TritonOpsError(f"{self._name}: its port {port} cannot be forwarded to {listen}: {exc}") from exc
        return listen

    def unforward(self, listen: Path, port: int) -> None:
        """End a forward; nothing happens where the connection has ended."""
        if self._master:
            with suppress(MasterGoneError, RequestRefusedError):
                self._master.control.close_forward(listen, port)
        listen.unlink(missing_ok=True)

    def require_forwarding(self) -> None:
        """Raise the reason for which a forward ended, where it is not the port: ForwardingRefusedError,
        ConnectionLostError.
        """
        if self._master and _PROHIBITED in self._master.log().own:
            raise ForwardingRefusedError(
                f"{self._name}: its SSH server allows no port forwarding, so its Triton cannot be asked from here",
                hint=f"Ask there: inv remote.run --host {self._name} -- TASK. "
                "Or allow it in sshd_config: AllowTcpForwarding local",
            )
        if not self._is_alive():
            raise self._lost()

    def _control_path(self) -> Path:
        return self._opened().control_path

    def _opened(self) -> Master:
        self.open()
        if self._master is None:
            raise self._lost()
        return self._master

    def _is_alive(self) -> bool:
        return self._master is not None and self._master.is_alive()

    def _lost(self, output: str = "") -> ConnectionLostError:
        detail = f": {output.strip().splitlines()[-1]}" if output.strip() else ""
        return ConnectionLostError(f"{self._name}: the connection was lost{detail}")


def _rsync_quoted(word: str) -> str:
    """Quote one word of --rsh as rsync reads it: no backslashes, a quote doubled."""
    return "'" + word.replace("'", "''") + "'"
