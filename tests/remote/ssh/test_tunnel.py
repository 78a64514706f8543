"""A port of a host as a local socket."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.remote.sshd import Fleet, commands_to, free_port
from tritonops.remote.ssh.host import Host
from tritonops.remote.ssh.tunnel import tunnel


def log_in(fleet: Fleet, name: str) -> Host:
    return Host(name, ssh_config=fleet.config)


def test_a_tunnel_reaches_a_loopback_port_of_the_host_through_a_socket_of_ours_alone(fleet):
    fleet.add("gpu-01")
    with socket.socket() as service, log_in(fleet, "gpu-01") as host, commands_to(host) as sent:
        service.bind(("127.0.0.1", 0))
        service.listen()
        with tunnel(host, service.getsockname()[1]) as address, socket.socket(socket.AF_UNIX) as client:
            path = Path(address.removeprefix("unix:"))
            assert path.parent.stat().st_mode & 0o077 == 0
            client.connect(str(path))
            accepted, _ = service.accept()
            assert sent == []
            with accepted:
                client.sendall(b"ping")
                assert accepted.recv(4) == b"ping"
                accepted.sendall(b"pong")
                assert client.recv(4) == b"pong"
        assert not path.exists()


def test_a_tunnel_to_a_port_where_nothing_listens_closes_the_connection(fleet):
    fleet.add("gpu-01")
    with (
        log_in(fleet, "gpu-01") as host,
        tunnel(host, free_port()) as address,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(address.removeprefix("unix:"))
        assert client.recv(1) == b""
