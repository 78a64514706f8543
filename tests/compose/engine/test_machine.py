"""An engine on another machine, and one that runs without root."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.compose.machines import other_machine, rootless_engine
from tests.compose.projects import ComposeProject, remove_project
from tritonops.compose.engine.docker import Docker
from tritonops.compose.engine.machine import engine_machine, reachable_address
from tritonops.errors import EngineUnreachableError, InputError, ServiceError


@pytest.mark.parametrize(
    ("endpoint", "machine"),
    [
        ("", None),
        ("unix:///var/run/docker.sock", None),
        ("npipe:////./pipe/docker_engine", None),
        ("tcp://127.0.0.1:2375", None),
        ("tcp://[::1]:2376", None),
        ("tcp://localhost:2375", None),
        ("ssh://localhost", None),
        ("tcp://192.0.2.1:2376", "192.0.2.1"),
        ("https://[2001:db8::1]:2376", "2001:db8::1"),
        ("ssh://triton@gpu-01.invalid", "gpu-01.invalid"),
        ("ssh://gpu-01.invalid:2222/run/docker.sock", "gpu-01.invalid"),
    ],
)
def test_the_machine_of_an_endpoint(endpoint, machine):
    assert engine_machine(endpoint) == machine


@pytest.mark.parametrize(
    ("host_ip", "machine", "address"),
    [
        ("127.0.0.1", None, "127.0.0.1:8001"),
        ("0.0.0.0", None, "127.0.0.1:8001"),
        ("", None, "127.0.0.1:8001"),
        ("::", None, "[::1]:8001"),
        ("::1", None, "[::1]:8001"),
        ("10.0.0.7", None, "10.0.0.7:8001"),
        ("0.0.0.0", "gpu-01", "gpu-01:8001"),
        ("::", "2001:db8::1", "[2001:db8::1]:8001"),
        ("10.0.0.7", "gpu-01", "10.0.0.7:8001"),
        ("127.0.0.1", "gpu-01", None),
        ("127.0.0.2", "gpu-01", None),
        ("::1", "gpu-01", None),
    ],
)
def test_a_published_port_is_reached_on_the_machine_of_the_engine_or_refused(host_ip, machine, address):
    if address:
        assert reachable_address(host_ip, "8001", machine) == address
    else:
        with pytest.raises(InputError, match="the Docker engine is on gpu-01"):
            reachable_address(host_ip, "8001", machine)


pytest_docker = pytest.mark.docker


@pytest.fixture
def project(tmp_path):
    made = ComposeProject.at(tmp_path, "first")
    yield made
    remove_project(made.name)


@pytest.fixture
def elsewhere(project):
    """Another machine with an engine, whose endpoint it is."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("only root can make a network namespace, with iproute2")
    with other_machine(int(project.variables["TRITON_EXPOSE_GRPC"])) as address:
        yield address


@pytest_docker
def test_an_engine_on_another_machine_that_publishes_on_its_loopback_is_refused_before_anything_starts(
    project, elsewhere
):
    with pytest.raises(InputError, match=f"the Docker engine is on {elsewhere}") as raised:
        project.up(DOCKER_HOST=f"tcp://{elsewhere}:2375")
    assert "docker context use default" in str(raised.value.hint)
    assert project.containers() == []


@pytest_docker
def test_what_is_printed_and_asked_is_the_address_on_the_machine_of_the_engine(project, elsewhere):
    served = project.up(DOCKER_HOST=f"tcp://{elsewhere}:2375", TRITON_BIND="0.0.0.0")
    assert served.url == f"{elsewhere}:{project.variables['TRITON_EXPOSE_GRPC']}"
    assert [(model.name, model.state) for model in served.models] == [("first", "READY")]


@pytest_docker
def test_a_docker_context_names_the_machine_as_docker_host_does(tmp_path):
    config = {"DOCKER_CONFIG": str(tmp_path)}
    command = ["docker", "context", "create", "far", "--docker", "host=tcp://192.0.2.1:2375"]
    subprocess.run(command, env={**os.environ, **config}, check=True, capture_output=True)
    assert Docker(tmp_path, config).machine is None
    assert Docker(tmp_path, {**config, "DOCKER_CONTEXT": "far"}).machine == "192.0.2.1"
    subprocess.run(["docker", "context", "use", "far"], env={**os.environ, **config}, check=True, capture_output=True)
    assert Docker(tmp_path, config).machine == "192.0.2.1"
    assert Docker(tmp_path, {**config, "DOCKER_HOST": "unix:///nothing.sock"}).machine is None


@pytest_docker
def test_models_that_a_container_may_not_read_are_explained_by_what_the_engine_says_of_itself(project, tmp_path):
    (project.models_dir / "first/1/model.onnx").chmod(0o000)
    (project.models_dir / "first/1").chmod(0o700)
    with pytest.raises(ServiceError, match="set TRITON_USER to its owner"):
        raise_unless_served(project.up())
    with (
        rootless_engine(tmp_path / "docker.sock") as endpoint,
        pytest.raises(ServiceError, match="set TRITON_USER to 0:0, which is the engine's user: Docker is rootless"),
    ):
        raise_unless_served(project.up(DOCKER_HOST=endpoint, recreate=True))


def raise_unless_served(served):
    """The table of `compose.up` has the causes as its hint."""
    raise ServiceError("\n".join(served.causes))


@pytest_docker
def test_where_only_the_rootless_engine_of_this_user_answers_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    nothing = {"DOCKER_HOST": f"unix://{tmp_path}/nothing.sock"}
    with pytest.raises(EngineUnreachableError) as raised:
        Docker(tmp_path, nothing).output(["docker", "ps"])
    assert "systemctl start docker" in str(raised.value.hint)
    with rootless_engine(Path(tmp_path, "docker.sock")), pytest.raises(EngineUnreachableError) as raised:
        Docker(tmp_path, nothing).output(["docker", "ps"])
    assert "docker context use rootless" in str(raised.value.hint)
