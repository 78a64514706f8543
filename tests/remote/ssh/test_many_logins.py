"""Many hosts at once behind one jump host, whose SSH server has sshd's own limit of logins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.remote.sshd import Fleet
from tritonops.errors import HostUnreachableError
from tritonops.remote.ssh import login_slots

COUNT = 64


@pytest.mark.slow
def test_sixty_four_hosts_behind_one_jump_host_are_all_reached(fleet: Fleet):
    limits = {"MaxStartups": "10:30:100", "MaxSessions": "10"}
    fleet.add("bastion", settings=limits)
    server = fleet.add("gpu", settings={"MaxStartups": "200"})
    names = [f"gpu-{number:02}" for number in range(COUNT)]
    for name in names:
        fleet.describe(name, port=server.port, options="ProxyJump bastion")

    def greet(name: str) -> str:
        with fleet.host(name) as host:
            return host.run(f"echo {name}").stdout.strip()

    with ThreadPoolExecutor(COUNT) as pool:
        assert list(pool.map(greet, names)) == names


def test_a_server_that_closes_each_login_is_given_up_after_some_tries(fleet, monkeypatch):
    monkeypatch.setattr(login_slots, "_PAUSES", (0.01,) * 3)
    server = fleet.add("gpu-01", settings={"MaxStartups": "1:100:1"})
    with server.occupied(), pytest.raises(HostUnreachableError, match="exchange_identification") as caught:
        fleet.host("gpu-01").open()
    assert "MaxStartups" in str(caught.value.hint)
    with fleet.host("gpu-01") as host:
        assert host.run("echo in").stdout == "in\n"
