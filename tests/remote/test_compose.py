"""A host that serves in Docker Compose: the small CPU image stands in for NVIDIA's."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.remote.project import Site
from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.errors import DeployError
from tritonops.remote.layout.paths import Layout
from tritonops.remote.layout.records import recorded_loads
from tritonops.remote.rollback import roll_back_host
from tritonops.remote.ssh.host import Host
from tritonops.server import embedded

pytestmark = pytest.mark.docker


@pytest.fixture
def composed(tmp_path):
    """gpu-01, with Compose in place of the embedded Triton."""
    docker = os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")  # where the Compose plugin may be
    with Site.at(tmp_path, "gpu-01", DOCKER_CONFIG=docker) as site:
        site.clone.hosts("gpu-01", runtime="compose")
        project = f"tritonops-test-{os.getpid()}"
        with (site.servers["gpu-01"].root / "env").open("a") as env:
            env.write(f"TRITON_IMAGE={CPU_IMAGE}\nCOMPOSE_PROJECT_NAME={project}\n")
        yield site
        for container in containers(project):
            subprocess.run(["docker", "rm", "--force", "--volumes", container], check=True, capture_output=True)
        subprocess.run(["docker", "network", "rm", f"{project}_default"], check=False, capture_output=True)


def containers(project: str | None = None) -> list[str]:
    label = f"com.docker.compose.project={project or f'tritonops-test-{os.getpid()}'}"
    command = ["docker", "ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_compose_serves_what_was_deployed_and_what_is_rolled_back_to_in_the_same_container(composed):
    composed.serve(alpha=2, beta=3)
    composed.deploy()
    assert composed.answers() == {"alpha": 2, "beta": 3}
    (container,) = containers()
    assert loaded_by(composed) == {started(container)}
    composed.serve(alpha=5)
    assert composed.deploy().changed == ("alpha",)
    assert composed.answers() == {"alpha": 5, "beta": 3}
    assert composed.deploy().what == "nothing to do"
    with Host("gpu-01", ssh_config=composed.fleet.config) as host:
        roll_back_host(host, to=None, on_step=lambda line: None)
    assert composed.answers() == {"alpha": 2, "beta": 3}
    assert containers() == [container]
    inv = composed.clone.inv
    assert "Started GRPCInferenceService" in inv("remote.logs", "--host", "gpu-01", "--lines", "1000").stdout
    inv("remote.restart", "--host", "gpu-01", "--yes")
    assert composed.answers() == {"alpha": 2, "beta": 3}


def test_the_other_runtime_takes_over_and_a_rollback_gives_it_back(composed):
    composed.serve(alpha=2)
    composed.deploy()
    composed.clone.hosts("gpu-01")
    composed.serve(alpha=3)
    composed.deploy()
    server = composed.servers["gpu-01"].root / "shared/.server"
    assert (composed.answers(), containers()) == ({"alpha": 3}, [])
    assert embedded.find(server)
    with Host("gpu-01", ssh_config=composed.fleet.config) as host:
        roll_back_host(host, to=None, on_step=lambda line: None)
    assert composed.answers() == {"alpha": 2}
    assert len(containers()) == 1
    assert not embedded.find(server)


def loaded_by(composed: Site) -> set[str]:
    """The processes that the records of the loads name."""
    current = Layout(composed.servers["gpu-01"].root).current
    return {load.server for load in recorded_loads(current.activation if current else None).values()}


def started(container: str) -> str:
    state = "pid {{.State.Pid}}, started {{.State.StartedAt}}"
    command = ["docker", "inspect", "--format", state, container]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_host_whose_containers_see_no_gpu_is_refused_before_anything_is_sent(composed):
    composed.serve(alpha=2)
    composed.clone.hosts("gpu-01", config="gpu", runtime="compose")
    with pytest.raises(DeployError, match="not ready for a deploy") as caught:
        composed.deploy()
    for problem in ("Docker has no NVIDIA Container Toolkit", "a container sees no GPU"):
        assert problem in str(caught.value)
    assert not list((composed.servers["gpu-01"].root / "releases").glob("*/project/*"))
    doctor = composed.clone.inv("remote.doctor", "--host", "gpu-01", "--json", check=False)
    states = {row["check"]: row["state"] for row in json.loads(doctor.stdout)}
    assert (states["toolkit"], states["gpu in a container"]) == ("problem", "problem")
