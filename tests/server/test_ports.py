"""Which ports are given to a server, and who listens on one that is taken."""

import math
import socket
from dataclasses import astuple
from pathlib import Path

import pytest

from tritonops.errors import InputError, PortTakenError
from tritonops.server import ports
from tritonops.server.ports import Ports, free_ports, is_free, listener, require_free


def test_free_ports_differ_and_are_none_that_a_client_may_be_given():
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    given = [port for _ in range(50) for port in astuple(free_ports())]
    assert len(set(given[:3])) == 3
    assert not [port for port in given if first <= port <= last]


def test_every_port_of_the_range_is_tried_once_from_any_start():
    assert math.gcd(ports._STRIDE, len(ports._NOT_EPHEMERAL)) == 1


def test_a_port_that_somebody_listens_on_is_not_free_and_its_holder_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert not is_free(taken)
        assert "process" in str(listener(taken))
        free = free_ports()
        with pytest.raises(PortTakenError, match=str(taken)):
            require_free(Ports(taken, free.grpc, free.metrics))
        require_free(Ports(taken, free.grpc, free.metrics), ours=Ports(taken, 1, 2))


def test_one_port_for_two_protocols_is_refused():
    port = free_ports().http
    with pytest.raises(InputError, match="must differ"):
        require_free(Ports(port, port, free_ports().metrics))
