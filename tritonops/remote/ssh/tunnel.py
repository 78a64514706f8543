"""A port of a host as a local socket, so that Triton's ports stay closed.

A Unix socket in a private folder, not a TCP port: other users of this machine cannot reach the host through it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tritonops.remote.ssh.host import Host


@contextlib.contextmanager
def tunnel(host: Host, port: int) -> Iterator[Path]:
    """Forward a loopback port of `host`, and give the path of its socket for the block.

    A connection to it ends at once where nothing listens there, or the server allows no forwarding.
    """
    path = host.forward(port)
    try:
        yield path
    finally:
        host.unforward(path, port)
