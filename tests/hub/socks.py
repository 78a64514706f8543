"""A SOCKS5 proxy on loopback (RFC 1928, 1929): by address or by name, with or without a password."""

from __future__ import annotations

import select
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

BY_ADDRESS, BY_NAME, PASSWORD = 1, 3, 2


@dataclass
class Socks:
    """A proxy, and what it was asked for."""

    address: str = ""
    seen: list[str] = field(default_factory=list)


class _Handler(socketserver.BaseRequestHandler):
    request: socket.socket
    proxy: Socks

    def handle(self) -> None:
        _, count = self._read(2)
        offered = self._read(count)
        user = self._user() if PASSWORD in offered else ""
        if not user:
            self.request.sendall(b"\x05\x00")
        _, _, _, kind = self._read(4)
        host = socket.inet_ntoa(self._read(4)) if kind == BY_ADDRESS else self._read(self._read(1)[0]).decode()
        [port] = struct.unpack(">H", self._read(2))
        self.proxy.seen.append(f"{'name' if kind == BY_NAME else 'address'} {user}".strip())
        try:
            upstream = socket.create_connection((host, port), 5)
        except OSError:
            self.request.sendall(b"\x05\x05\x00\x01" + bytes(6))
            return
        self.request.sendall(b"\x05\x00\x00\x01" + bytes(6))
        with upstream, suppress(OSError):
            relay(self.request, upstream)

    def _user(self) -> str:
        self.request.sendall(b"\x05\x02")
        _, length = self._read(2)
        user = self._read(length)
        password = self._read(self._read(1)[0])
        self.request.sendall(b"\x01\x00")
        return f"{user.decode()}:{password.decode()}"

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            if not (more := self.request.recv(count - len(data))):
                raise ConnectionError
            data += more
        return data


def relay(one: socket.socket, other: socket.socket) -> None:
    """Copy between two sockets until one of them ends."""
    ends = {one: other, other: one}
    while ready := select.select(list(ends), [], [], 10)[0]:
        for end in ready:
            data = end.recv(1 << 16)
            if not data:
                return
            ends[end].sendall(data)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away."""


@contextmanager
def socks_proxy() -> Iterator[Socks]:
    """Run a proxy; `address` is its HOST:PORT."""
    proxy = Socks()
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy})) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        proxy.address = f"127.0.0.1:{server.server_address[1]}"
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
