"""Real OpenSSH servers on loopback, each with its own port, host key and home folder."""

from __future__ import annotations

import functools
import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import programs
from tritonops.remote.ssh.host import Host, Output
from tritonops.server.ports import free_ports

_SESSION_PROGRAMS = {"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"}
"""Options that say where OpenSSH 9.8 and 10.0 find what they start."""


class Server:
    """One sshd; its `home` is that of the remote user."""

    def __init__(
        self,
        folder: Path,
        name: str,
        authorized: Path,
        environment: Mapping[str, str],
        settings: Mapping[str, str],
        home: str,
    ) -> None:
        self.name, self.folder, self.home = name, folder, folder / home
        self.port = free_port()
        self.grpc = 0
        """Where the Triton of this host listens, once it has one."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.new_host_key()
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"], **environment}
        defaults = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "HostKey": folder / "host_key",
            "PidFile": "none",
            "AuthorizedKeysFile": authorized,
            "StrictModes": "no",
            "UsePAM": "no",
            "MaxStartups": "200",
            "MaxSessions": "100",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "Subsystem": "sftp internal-sftp",
            "SetEnv": " ".join(f'"{key}={value}"' for key, value in environment.items()),
        }
        if root := programs.fetched_root("sshd"):
            paths = {option: root / "usr/lib/openssh" / name for option, name in _SESSION_PROGRAMS.items()}
            defaults |= {option: path for option, path in paths.items() if path.exists()}
        if _knows_penalties():  # OpenSSH 9.8 and later: a login that a test lets fail would count against the next one
            defaults["PerSourcePenalties"] = "no"
        self.config = folder / "sshd_config"
        self.config.write_text("".join(f"{key} {value}\n" for key, value in {**defaults, **settings}.items()))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> Path:
        """Where the tool keeps its things on this host."""
        return self.home / "tritonops"

    @property
    def host_key(self) -> str:
        return (self.folder / "host_key.pub").read_text()

    def new_host_key(self) -> None:
        make_key(self.folder / "host_key")

    def start(self) -> None:
        log = self.folder / "sshd.log"
        command = [str(programs.find("sshd")), "-D", "-f", str(self.config), "-E", str(log)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_until(lambda: answers(self.port), f"sshd of {self.name}: {log}")

    def stop(self) -> None:
        """Stop listening, and cut every connection."""
        if self.process:
            self.cut()
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Keep one connection open that never logs in."""
        with ExitStack() as stack:
            # sshd may still count the connection that found it listening, and refuse this one.
            while stack.enter_context(socket.create_connection(("127.0.0.1", self.port))).recv(4) != b"SSH-":
                stack.close()
            yield

    def cut(self) -> int:
        """Kill the processes of sshd that serve connections, as kill -9 would; say how many connections there were.

        A connection has one process, and where sshd separates privileges a second one below it.
        """
        assert self.process
        connections = set(children(self.process.pid))
        killed = [pid for pid in descendants(self.process.pid, "sshd") if _killed(pid)]
        return len(connections.intersection(killed))


@functools.cache
def _knows_penalties() -> bool:
    command = [str(programs.find("sshd")), "-t", "-f", "/dev/null", "-o", "PerSourcePenalties=no"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "Bad configuration option" not in done.stderr


@contextmanager
def commands_to(host: Host) -> Iterator[list[str]]:
    """List the scripts that a host is sent, one command each."""
    sent: list[str] = []
    run = host.run

    def recorded(script: str, **options: Any) -> Output:
        sent.append(script)
        return run(script, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "run", recorded)
        yield sent


class Fleet:
    """Servers, and the ssh_config and known_hosts of a person who may log in to them."""

    def __init__(self, folder: Path) -> None:
        programs.require("sshd", "ssh", "rsync")
        self.folder = folder
        self.config = folder / "ssh_config"
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.touch()
        self.config.touch()
        self.key = folder / "id"
        make_key(self.key)
        self.servers: list[Server] = []

    def add(
        self,
        name: str,
        *,
        known: bool = True,
        options: str = "",
        environment: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        home: str = "home",
    ) -> Server:
        """Start a server; `options` are further lines of its block in ssh_config, `settings` are its own, of sshd."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it to be there
        server = Server(self.folder / name, name, self.key.with_suffix(".pub"), environment or {}, settings or {}, home)
        self.servers.append(server)
        server.start()
        if known:
            self.trust(server)
        self.describe(name, port=server.port, options=options)
        return server

    def describe(self, name: str, *, port: int, hostname: str = "127.0.0.1", options: str = "") -> None:
        lines = [f"Host {name}", options, f"HostName {hostname}", f"Port {port}", f"User {getpass.getuser()}"]
        lines += [f"UserKnownHostsFile {self.known_hosts}", "GlobalKnownHostsFile none", "IdentityAgent none"]
        lines += [] if "IdentityFile" in options else [f"IdentityFile {self.key}"]
        lines += ["ConnectTimeout 5", ""]  # ssh takes the first value it meets
        with self.config.open("a") as file:
            file.write("\n".join(lines) + "\n")

    def host(self, name: str) -> Host:
        """A host as this person reaches it; nobody has logged in yet."""
        return Host(name, ssh_config=self.config)

    def trust(self, server: Server) -> None:
        with self.known_hosts.open("a") as file:
            file.write(f"[127.0.0.1]:{server.port} {server.host_key}")

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


def make_key(path: Path) -> None:
    path.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def free_port() -> int:
    return free_ports().http


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], object], what: str, *, timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}"
        time.sleep(0.01)


def descendants(pid: int, name: str | None = None) -> Iterator[int]:
    """The processes below `pid`, parents first; only those whose names begin with `name` where it is given."""
    children: dict[int, list[tuple[int, str]]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = stat.read_text().rpartition(")")
        except OSError:
            continue
        child, _, comm = head.partition(" (")
        children.setdefault(int(tail.split()[1]), []).append((int(child), comm))
    below = list(children.get(pid, []))
    while below:
        number, comm = below.pop(0)
        below += children.get(number, [])
        if name is None or comm.startswith(name):
            yield number


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _killed(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
