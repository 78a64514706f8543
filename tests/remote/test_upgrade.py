"""The first deploy of this version onto a host on which the version before serves."""

from __future__ import annotations

import json
import socket

import pytest

from tests.remote.earlier_version import make_earlier
from tests.remote.host.test_activation import interrupt_at
from tests.remote.host.test_release_env import HOST, host_env, restarts, roll_back, triton_pid
from tests.remote.project import Site, activated
from tritonops.errors import DeployError
from tritonops.remote.layout.paths import Layout

EARLIER = "an earlier version of this project started it"


@pytest.fixture
def earlier(site) -> str:
    """The release that serves, of the version before."""
    site.deploy()
    return make_earlier(site.servers["gpu-01"].root)


def test_it_works_and_its_gap_is_announced_and_measured(site, earlier):
    before = site.answers()
    lines: list[str] = []
    site.serve(alpha=before["alpha"] + 1)
    assert restarts(site) == {EARLIER}
    result = site.deploy(on_step=lines.append)
    assert result.restarted == (EARLIER,)
    assert result.gap
    assert any(f"restart Triton ({EARLIER}): no answers until" in line for line in lines)
    assert site.answers() == {**before, "alpha": before["alpha"] + 1}
    assert site.deploy().what == "nothing to do"
    roll_back(site)
    assert site.answers() == before
    assert json.loads(site.clone.inv("remote.run", *HOST, "--", "triton.list", "--json").stdout)
    site.deploy()


def test_one_that_fails_after_the_restart_goes_back_to_what_served(site, earlier):
    before = site.answers()
    site.serve(alpha=before["alpha"] + 1)
    layout, name = site.stage()
    assert activated(layout, name, interrupt_at("load")).result in ("rolled back", "done")
    assert site.answers()["alpha"] in (before["alpha"], before["alpha"] + 1)
    site.deploy()


def test_a_host_file_that_was_edited_meanwhile_and_cannot_serve_changes_nothing(site, earlier):
    before, pid = site.answers(), triton_pid(site)
    site.serve(alpha=before["alpha"] + 1)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with host_env(site, TRITON_EXPOSE_METRICS=str(port)), pytest.raises(DeployError, match=str(port)):
            site.deploy()
    assert triton_pid(site) == pid
    assert site.answers() == before
    site.deploy()


def test_ports_that_were_edited_meanwhile_are_those_of_the_server_again_after_a_failure(site, earlier):
    before = site.answers()
    site.serve(alpha=before["alpha"] + 1)
    layout, name = site.stage()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with host_env(site, TRITON_EXPOSE_GRPC=str(port)):

        def fail(line: str) -> None:
            if line.startswith("restart Triton"):
                (layout.release(name).project / "inv").unlink()

        assert activated(layout, name, fail).result == "rolled back"
        assert site.answers() == before
    assert Layout(site.servers["gpu-01"].root).current
    site.deploy()


def test_a_rollback_to_it_runs_with_the_newer_code(site: Site, earlier):
    before = site.answers()
    site.serve(alpha=before["alpha"] + 1)
    site.deploy()
    assert roll_back(site).what == "rolled back"
    last = json.loads((site.servers["gpu-01"].root / "audit.log").read_text().splitlines()[-1])
    assert last["release"] == earlier
    assert "gap" in last
    assert site.answers() == before
    site.deploy()
