"""The three ports of a server on this machine: which are free, and who holds one that is not."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import asdict, dataclass

from tritonops.errors import PortTakenError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Ports:
    """Where a Triton listens, on the loopback interface."""

    http: int
    grpc: int
    metrics: int


def free_ports() -> Ports:
    """Give three ports that nobody listens on at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for listener in sockets:
            listener.bind((LOOPBACK, 0))
        return Ports(*(listener.getsockname()[1] for listener in sockets))


def require_free(ports: Ports) -> None:
    """Raise PortTakenError for the first port that cannot be listened on."""
    for protocol, port in asdict(ports).items():
        if not is_free(port):
            raise PortTakenError(protocol, port)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
