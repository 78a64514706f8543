"""What `docker inspect` shows of a container, and what docker commands tell about it."""

import io
import tarfile

import pytest

from tests.compose.stub_docker import container, data
from tests.paths import PROJECT
from tests.processes import wait_for
from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.compose.engine.container import exit_codes, inspect, read_log, read_secret
from tritonops.compose.engine.docker import Docker
from tritonops.errors import DockerError, InputError


def test_names_and_settings_are_those_of_the_inspection():
    found = container("app-triton-1-previous", HostConfig={"Memory": 1 << 30, "LogConfig": {"Type": "local"}})
    assert (found.name, found.is_previous, found.project, found.folder) == (
        *("app-triton-1-previous", True, "app"),
        "/srv/app",
    )
    assert (found.image, found.models_source, found.host_ports) == ("triton:latest", "/srv/app/triton", {"9001"})
    assert (found.memory_limit, found.shm_size, found.logging_driver) == (1 << 30, 0, "local")


@pytest.mark.parametrize(
    ("status", "is_running"), [("running", True), ("restarting", True), ("paused", True), ("exited", False)]
)
def test_a_container_that_will_run_again_is_running(status, is_running):
    assert container(status=status).is_running is is_running


def test_a_container_that_was_never_started_has_dockers_year_1():
    assert container().was_started
    assert not container(State={"StartedAt": "0001-01-01T00:00:00Z"}).was_started


@pytest.mark.docker
def test_the_log_of_a_run_is_whole_and_its_own():
    """Docker notes the start of a container when its program may have written already."""
    docker = Docker(PROJECT)
    words = [
        "docker",
        "run",
        "--detach",
        "--network=none",
        "--entrypoint=sh",
        CPU_IMAGE,
        "-c",
        "echo early; exec sleep 60",
    ]
    runs = [docker.output(words).strip() for _ in range(4)]
    try:
        for id in runs:
            once = inspect(docker, container(id=id))
            wait_for(lambda once=once: read_log(docker, once, tail=9, since=once.log_start) == "early")
            docker.output(["docker", "restart", "--time=0", id])
            again = inspect(docker, once)
            wait_for(lambda again=again: read_log(docker, again, tail=9, since=again.log_start) == "early")
            assert read_log(docker, again, tail=9) == "early\nearly"
    finally:
        docker.output(["docker", "rm", "--force", *runs])


def test_two_containers_are_alike_by_settings_and_image():
    assert container().is_defined_as(container("another"))
    assert not container().is_defined_as(container(Image="sha256:another"))


@pytest.mark.parametrize(
    ("changes", "machine", "address"),
    [
        ({}, None, "127.0.0.1:9001"),
        ({"NetworkSettings": {"Ports": {"8001/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9"}]}}}, "gpu", "gpu:9"),
        ({"HostConfig": {"NetworkMode": "host"}}, None, "127.0.0.1:8001"),
    ],
)
def test_the_grpc_port_is_reached_where_it_is_published(changes, machine, address):
    assert container(**changes).grpc_address(machine) == address


def test_a_service_without_a_published_grpc_port_is_refused():
    with pytest.raises(InputError, match="the service triton publishes no port for gRPC"):
        container(NetworkSettings={"Ports": {}}).grpc_address(None)


def test_a_container_is_inspected_again_by_its_id(stub):
    stub.inspected(f"inspect {'1' * 12}", data(status="exited"))
    assert inspect(stub.docker, container()).status == "exited"


def test_a_secret_is_read_from_the_containers_files(stub, tmp_path):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("triton_token")
        member.size = 6
        tar.addfile(member, io.BytesIO(b"secret"))
    stub.answer("cp*triton_token*", archive.getvalue().decode())
    stub.answer("cp*", code=1, stderr="Could not find the file")
    assert read_secret(stub.docker, container(), "triton_token") == "secret"
    assert read_secret(stub.docker, container(), "another") == ""


def test_a_log_that_docker_does_not_keep_is_said_in_its_place(stub):
    stub.answer("logs --tail 5 --since a --until b*", "one\ntwo\n")
    stub.answer("logs*", code=1, stderr="configured logging driver does not support reading")
    assert read_log(stub.docker, container(), tail=5, since="a", until="b") == "one\ntwo"
    assert read_log(stub.docker, container(HostConfig={"LogConfig": {"Type": "none"}}), tail=5) == (
        "(no log: Docker keeps none with the logging driver 'none')"
    )


def test_the_exit_codes_since_the_start_come_from_the_events(stub):
    stub.answer("events --since 2026-01-01T00:00:00Z*event=die*", "139\n1\nnone\n")
    assert exit_codes(stub.docker, container()) == [139, 1]


def test_a_removed_container_is_an_error(stub):
    stub.answer("inspect*", code=1, stderr="Error: No such object: 111")
    with pytest.raises(DockerError, match="No such object"):
        inspect(stub.docker, container())
