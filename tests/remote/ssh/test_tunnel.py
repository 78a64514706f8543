"""A port of a host as a local socket."""

from __future__ import annotations

import socket

import pytest

from tests.remote.sshd import commands_to, free_port
from tritonops.errors import ConnectionLostError, ForwardingRefusedError
from tritonops.remote.ssh.tunnel import tunnel


def test_a_tunnel_reaches_a_loopback_port_of_the_host_through_a_socket_of_ours_alone(fleet):
    fleet.add("gpu-01")
    with socket.socket() as service, fleet.host("gpu-01") as host, commands_to(host) as sent:
        service.bind(("127.0.0.1", 0))
        service.listen()
        with tunnel(host, service.getsockname()[1]) as path, socket.socket(socket.AF_UNIX) as client:
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


def test_a_tunnel_to_a_port_where_nothing_listens_closes_the_connection_for_no_reason_of_ssh(fleet):
    fleet.add("gpu-01")
    with (
        fleet.host("gpu-01") as host,
        tunnel(host, free_port()) as path,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(str(path))
        assert client.recv(1) == b""
        host.require_forwarding()


@pytest.mark.parametrize(
    ("setting", "value"), [("AllowTcpForwarding", "no"), ("DisableForwarding", "yes"), ("PermitOpen", "none")]
)
def test_a_server_that_allows_no_forwarding_is_named_with_its_setting(fleet, setting, value):
    fleet.add("gpu-01", settings={setting: value})
    with (
        fleet.host("gpu-01") as host,
        tunnel(host, free_port()) as path,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(str(path))
        assert client.recv(1) == b""
        with pytest.raises(ForwardingRefusedError, match="gpu-01") as caught:
            host.require_forwarding()
    assert "AllowTcpForwarding" in str(caught.value.hint)


def test_a_tunnel_whose_connection_is_cut_says_so(fleet):
    server = fleet.add("gpu-01")
    with socket.socket() as service, fleet.host("gpu-01") as host:
        service.bind(("127.0.0.1", 0))
        service.listen()
        with tunnel(host, service.getsockname()[1]) as path, socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            server.cut()
            assert client.recv(1) == b""
            with pytest.raises(ConnectionLostError, match="gpu-01"):
                host.require_forwarding()
