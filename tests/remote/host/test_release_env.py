"""The env of a host belongs to its releases: what cannot start is refused, and a rollback restores the old one."""

from __future__ import annotations

import json
import re
import socket
import stat
import subprocess
from contextlib import contextmanager
from typing import Any

import pytest

from tests.remote.project import Site
from tritonops.errors import DeployError, TokenRefusedError, TritonOpsError
from tritonops.remote.rollback import roll_back_host
from tritonops.remote.ssh.host import Host
from tritonops.server import embedded
from tritonops.server.ports import free_ports
from tritonops.triton.client.client import connect

HOST = ("--host", "gpu-01")


@contextmanager
def host_env(site: Site, **values: str):
    """Edit the env file of the host, as by hand; it is as before afterwards."""
    path = site.servers["gpu-01"].root / "env"
    before = path.read_text()
    kept = [line for line in before.splitlines() if line.partition("=")[0] not in values]
    path.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in values.items())]) + "\n")
    try:
        yield
    finally:
        path.write_text(before)


def roll_back(site: Site):
    with Host("gpu-01", ssh_config=site.fleet.config) as host:
        return roll_back_host(host, to=None, on_step=lambda line: None)


def plan(site: Site) -> Any:
    return json.loads(site.clone.inv("remote.plan", *HOST, "--json", check=False).stdout)


def restarts(site: Site) -> set[str]:
    return {row["name"] for row in plan(site) if row["what"] == "restart"}


def triton_pid(site: Site) -> int:
    server = embedded.find(site.servers["gpu-01"].root / "shared/.server")
    assert server
    return server.process.pid


@pytest.mark.parametrize("port", ["TRITON_EXPOSE_HTTP", "TRITON_EXPOSE_GRPC", "TRITON_EXPOSE_METRICS"])
def test_a_port_that_somebody_else_has_is_refused_and_no_request_fails(site, port):
    site.deploy()
    pid = triton_pid(site)
    with socket.socket() as other, site.inferring("alpha") as observed:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with host_env(site, **{port: str(taken)}), pytest.raises(DeployError, match=str(taken)):
            site.deploy()
    assert not observed.failures
    assert triton_pid(site) == pid
    assert site.deploy().what in ("deployed", "nothing to do")
    assert triton_pid(site) == pid


def test_two_names_for_one_port_and_a_token_that_no_header_can_carry_are_refused_in_time(site):
    site.deploy()
    pid, ports = triton_pid(site), free_ports()
    with (
        host_env(site, TRITON_EXPOSE_HTTP=str(ports.http), TRITON_EXPOSE_METRICS=str(ports.http)),
        pytest.raises(DeployError, match="must differ"),
    ):
        site.deploy()
    with host_env(site, TRITON_TOKEN="'two words'"), pytest.raises(TritonOpsError, match="TRITON_TOKEN"):
        site.deploy()
    assert triton_pid(site) == pid
    site.deploy()


def test_a_new_port_is_announced_measured_and_taken_back_by_a_rollback(site):
    site.deploy()
    before, port = site.answers(), site.servers["gpu-01"].grpc
    new = free_ports()
    lines: list[str] = []
    with host_env(site, TRITON_EXPOSE_GRPC=str(new.grpc)):
        assert restarts(site) == {"TRITON_EXPOSE_GRPC"}
        result = site.deploy(on_step=lines.append)
        assert result.restarted == ("TRITON_EXPOSE_GRPC",)
        assert result.gap
        assert 0 < result.gap < 60
        assert any("restart Triton (TRITON_EXPOSE_GRPC): no answers until" in line for line in lines)
        last = json.loads((site.servers["gpu-01"].root / "audit.log").read_text().splitlines()[-1])
        assert (last["restarted"], last["gap"]) == (["TRITON_EXPOSE_GRPC"], result.gap)
        site.servers["gpu-01"].grpc = new.grpc
        try:
            assert site.answers() == before
            assert site.deploy().what == "nothing to do"
        finally:
            site.servers["gpu-01"].grpc = port
        assert roll_back(site).restarted == ("TRITON_EXPOSE_GRPC",)
        assert site.answers() == before
        # What the host's file says is not served: the next deploy is no "nothing to do".
        assert any(row["what"] == "env" for row in plan(site))
        assert f"{result.gap:g} s at its last restart" not in json.dumps(plan(site)) or restarts(site)
    site.deploy()
    assert site.answers() == before


def test_the_copy_is_private_and_has_no_secrets_and_the_newest_token_counts_after_a_rollback(site):
    site.deploy()
    inv, root = site.clone.inv, site.servers["gpu-01"].root
    with host_env(site, TRITON_TOKEN="first", HF_TOKEN="hf_first", TRITON_MEMORY="1g"):
        site.deploy()
        (root / "env").write_text((root / "env").read_text().replace("first", "second"))
        site.deploy()
        roll_back(site)
        address = f"127.0.0.1:{site.servers['gpu-01'].grpc}"
        with connect(address, token="first") as client, pytest.raises(TokenRefusedError):
            client.index()
        assert json.loads(inv("triton.list", *HOST, "--json").stdout)
        assert json.loads(inv("remote.run", *HOST, "--", "triton.list", "--json").stdout)
    assert list((root / "envs").iterdir())
    for copy in (root / "envs").iterdir():
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert not re.search("TOKEN|first|second", copy.read_text())
    assert stat.S_IMODE((root / "envs").stat().st_mode) == 0o700
    site.deploy()
    assert "alpha" in site.answers()


def test_a_rollback_serves_with_the_env_of_its_release_though_the_hosts_file_is_bad(site):
    site.deploy()
    before = site.answers()
    site.serve(alpha=41)
    site.deploy()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with host_env(site, TRITON_EXPOSE_HTTP=str(other.getsockname()[1])):
            pid = triton_pid(site)
            assert roll_back(site).restarted == ()
            assert triton_pid(site) == pid
            assert site.answers() == before
            (status,) = json.loads(site.clone.inv("remote.status", *HOST, "--json").stdout)
            assert status["triton"] == "up"
    site.deploy()


def test_only_what_the_server_has_copied_at_its_start_is_a_reason_for_a_restart(site):
    site.deploy()
    pid = triton_pid(site)
    changed = site.clone.folder / "tritonops/server/embedded.py"
    backend = site.clone.folder / "tritonops/server/backends/onnxruntime/model.py"
    text, model = changed.read_text(), backend.read_text()
    try:
        changed.write_text(f"{text}\n# Another line.\n")
        site.clone.commit("a comment")
        assert restarts(site) == set()
        assert site.deploy().restarted == ()
        assert triton_pid(site) == pid
        backend.write_text(f"{model}\n# Another line.\n")
        site.clone.commit("a backend")
        assert restarts(site) == {"backend files"}
        assert site.deploy().restarted == ("backend files",)
        assert triton_pid(site) != pid
    finally:
        changed.write_text(text)
        backend.write_text(model)
        site.clone.commit("as before")
    site.deploy()


def test_the_envs_of_deleted_releases_are_deleted(site):
    for scale in range(50, 57):
        site.serve(alpha=scale)
        site.deploy()
    root = site.servers["gpu-01"].root
    assert {path.name for path in (root / "envs").iterdir()} <= {path.name for path in (root / "releases").iterdir()}


@pytest.mark.parametrize("step", ["prepare", "restart Triton"])
def test_a_deploy_whose_lock_is_released_meanwhile_ends_with_a_message_and_the_old_server(site, step):
    site.deploy()
    before = site.answers()
    command = [str(site.clone.folder / "inv"), "remote.deploy", *HOST]
    with host_env(site, TRITON_EXPOSE_METRICS=str(free_ports().metrics)):
        with subprocess.Popen(command, env=site.clone.environment, stderr=subprocess.PIPE, text=True) as process:
            assert any(step in line for line in process.stderr or ())
            released = site.clone.inv("remote.lock", *HOST, "--release", "--yes")
            errors = process.stderr.read() if process.stderr else ""
        assert process.returncode == 1
        assert "gpu-01: interrupted" in errors
        assert "Traceback" not in errors + released.stderr
    assert site.answers() == before
    site.deploy()
    assert site.answers() == before
