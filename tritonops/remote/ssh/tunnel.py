"""A port of a host as a local socket, so that Triton's ports stay closed.

A Unix socket in a private folder, not a TCP port: other users of this machine cannot reach the host through it.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tritonops.errors import TritonOpsError

if TYPE_CHECKING:
    import paramiko

    from tritonops.remote.ssh.host import Host

_CHUNK = 1 << 16


@contextlib.contextmanager
def tunnel(host: Host, port: int) -> Iterator[str]:
    """Forward a loopback port of `host`, and give its gRPC address (`unix:/…`) for the block."""
    host.open()
    with tempfile.TemporaryDirectory(prefix="tritonops-") as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder, "grpc")
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=_serve, args=(listener, host, port), daemon=True).start()
        try:
            yield f"unix:{path}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread; close() would not


def _serve(listener: socket.socket, host: Host, port: int) -> None:
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        try:
            far = host.channel_to(port)
        except (OSError, TritonOpsError):
            near.close()  # the client sees a stopped server
            continue
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=_copy, args=(source, sink), daemon=True).start()


def _copy(source: socket.socket | paramiko.Channel, sink: socket.socket | paramiko.Channel) -> None:
    """Copy bytes until either end closes, then close both."""
    with contextlib.suppress(OSError, EOFError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    for end in (source, sink):
        # paramiko raises EOFError where the SSH connection has ended meanwhile.
        with contextlib.suppress(OSError, EOFError):
            end.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, EOFError):
            end.close()
