"""The three ports of a server on this machine: free ones, and the process that has taken one."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from tritonops.errors import InputError, PortTakenError

LOOPBACK = "127.0.0.1"
_NOT_EPHEMERAL = range(10_000, 32_768)
"""Linux uses 32768 to 60999 for clients (ip_local_port_range in ip(7)), macOS those from 49152 on."""

_STRIDE = 7919
"""A prime that does not divide their number: from any start, steps of it come to each port once."""

_given: set[int] = set()


@dataclass(frozen=True)
class Ports:
    """The ports of a Triton on the loopback interface."""

    http: int
    grpc: int
    metrics: int


def free_ports() -> Ports:
    """Give three ports that are free at this moment, and that this process has not given before.

    None is a port for clients, which a connection could take before the server listens.
    """
    start, count = random.SystemRandom().randrange(len(_NOT_EPHEMERAL)), len(_NOT_EPHEMERAL)
    candidates = (_NOT_EPHEMERAL[(start + number * _STRIDE) % count] for number in range(count))
    found = [*islice((port for port in candidates if port not in _given and is_free(port)), 3)]
    _given.update(found)
    return Ports(*found)


def require_free(ports: Ports, *, ours: Ports | None = None) -> None:
    """Raise PortTakenError for the first port that is not free, InputError for a port that is given twice.

    `ours` are the ports of a server that will have ended.
    """
    own = asdict(ours).values() if ours else ()
    if len({*asdict(ports).values()}) < 3:
        raise InputError(
            f"the ports {', '.join(map(str, asdict(ports).values()))} of HTTP, gRPC and metrics must differ",
            hint="Set TRITON_EXPOSE_HTTP, TRITON_EXPOSE_GRPC and TRITON_EXPOSE_METRICS.",
        )
    for protocol, port in asdict(ports).items():
        if port not in own and not is_free(port):
            raise PortTakenError(protocol, port, process=listener(port))


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def is_listening(pid: int, port: int) -> bool:
    """Whether this process is the one that listens on a port."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            if str(descriptor.readlink()) in inodes:
                return True
    return False


def listener(port: int) -> str | None:
    """Name the process that listens on this port; None if it is not visible, as another user's."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if str(descriptor.readlink()) in inodes:
                process = descriptor.parent.parent
                return f"process {process.name} ({(process / 'comm').read_text(encoding='utf-8').strip()})"
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    """Read the kernel's socket table: columns 1, 3 and 9 are local address, state (0A: listening) and inode."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="utf-8").splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]
