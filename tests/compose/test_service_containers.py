"""The containers of one service, changed by docker commands that a stub records."""

import io
import json
import socket
import tarfile

import pytest

from tests.compose.stub_docker import container, data
from tritonops.compose.commands import Compose
from tritonops.compose.definition import Definition
from tritonops.compose.engine.docker import Docker
from tritonops.compose.interruption import Interruption
from tritonops.compose.service_containers import ServiceContainers
from tritonops.errors import DockerError, PublishedPortTakenError

OLD, NEW = "1" * 12, "2" * 12


@pytest.fixture
def containers(stub):
    definition = Definition("app", "triton", {"image": "triton:latest"})
    return ServiceContainers(stub.docker, Compose(), definition, print, Interruption(print))


def listed(stub, *states):
    """Answer each list of containers with the next of these."""
    stub.answer("ps*", *(" ".join(each["Id"] for each in state) for state in states))
    stub.answer("inspect*", *(json.dumps(state) for state in states if state))


def changes(stub):
    return [call for call in stub.calls if call.split()[0] in ("rm", "rename", "start", "compose")]


def test_a_second_container_is_created_next_to_the_current_one(stub, containers):
    listed(stub, [data()], [data(), data("app-triton-2", id=NEW)])
    assert containers.create(container()).id == NEW
    assert changes(stub)[0].endswith("--scale triton=2 triton")


def test_a_container_of_another_project_does_not_count(stub, containers):
    labels = {"com.docker.compose.project": "tritonops", "com.docker.compose.service": "triton"}
    listed(stub, [], [data(id=NEW)])
    assert containers.create(container(Config={"Image": "x", "Labels": labels})).id == NEW
    assert changes(stub)[0].endswith("--scale triton=1 triton")


def test_what_compose_created_before_it_failed_is_removed_unless_it_runs(stub, containers):
    unstarted = data("app-triton-2", id=NEW, State={"Status": "created", "StartedAt": "0001-01-01T00:00:00Z"})
    listed(stub, [data()], [data(), unstarted])
    stub.answer("compose up*", code=1, stderr="no space left on device")
    with pytest.raises(DockerError, match="no space left"):
        containers.create(container())
    assert changes(stub)[-1] == f"rm --force {NEW}"


def test_another_number_of_new_containers_than_one_is_an_error(stub, containers):
    listed(stub, [data()])
    with pytest.raises(DockerError, match="Compose created 0 containers of triton instead of one"):
        containers.create(container())


def test_a_name_is_given_within_one_project_only_and_never_twice(stub, containers):
    new = container("app-triton-2", id=NEW)
    containers.rename_as(new, container())
    containers.rename(new, "app-triton-2")
    other = {"com.docker.compose.project": "tritonops"}
    containers.rename_as(new, container("another", Config={"Image": "x", "Labels": other}))
    assert changes(stub) == [f"rename {NEW} app-triton-1"]


def test_on_the_hosts_network_a_taken_port_is_found_before_the_start(stub, containers, monkeypatch):
    monkeypatch.setattr(Docker, "machine", "127.77.0.9")  # its port 8001 is no other test's
    host = container(HostConfig={"NetworkMode": "host"})
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.77.0.9", 8001))
        listener.listen()
        with pytest.raises(PublishedPortTakenError):
            containers.start(host)
    containers.start(host)
    assert changes(stub) == [f"start {OLD}"]


@pytest.mark.parametrize(
    ("config_hash", "image", "token", "is_as_defined"),
    [
        ("hash", "sha256:image", "secret", True),
        ("another", "sha256:image", "secret", False),
        ("hash", "sha256:another", "secret", False),
        ("hash", "sha256:image", "another", False),
        ("hash", "sha256:image", None, False),
    ],
)
def test_settings_image_and_token_are_those_of_the_files(stub, containers, config_hash, image, token, is_as_defined):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("triton_token")
        member.size = 6
        tar.addfile(member, io.BytesIO(b"secret"))
    stub.answer("compose config*", f"triton {config_hash}\n")
    stub.answer("cp*", archive.getvalue().decode())
    stub.answer("image inspect*", json.dumps([{"Id": image}]))
    assert containers.is_as_defined(container(), token) is is_as_defined
