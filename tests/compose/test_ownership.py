"""Containers of another folder are nobody's to replace, stop or remove, though Compose takes both for one project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.compose.projects import docker, remove_project
from tests.paths import PROJECT
from tritonops.compose import service
from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.compose.service import Service
from tritonops.errors import InputError
from tritonops.process_environment import user_name
from tritonops.project import Project
from tritonops.server.ports import free_ports

pytestmark = pytest.mark.docker
SLEEPING = f"""services:
  triton:
    image: {CPU_IMAGE}
    entrypoint: [sleep, infinity]
    init: true
"""


@pytest.fixture
def name():
    made = f"tritonops-test-{uuid.uuid4().hex[:12]}"
    yield made
    remove_project(made)


@pytest.fixture
def theirs(tmp_path, name):
    """A folder of somebody else, whose Compose project has a container that sleeps."""
    folder = tmp_path / "theirs" / name
    folder.mkdir(parents=True)
    (folder / "ml.yml").write_text(SLEEPING)
    if os.getuid() == 0:
        os.chown(folder, 12345, -1)
    subprocess.run(["docker", "compose", "-f", "ml.yml", "up", "-d"], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def ours(tmp_path, name):
    """A clone in a folder of the same name."""
    folder = tmp_path / "ours" / name
    (folder / "triton").mkdir(parents=True)
    shutil.copy(PROJECT / "ml.yml", folder)
    return folder


def chosen(folder: Path) -> Service:
    ports = {
        f"TRITON_EXPOSE_{kind}": str(port) for kind, port in zip(("HTTP", "GRPC", "METRICS"), ports_(), strict=True)
    }
    return Service.of(Project.load(folder, environ={"TRITON_IMAGE": CPU_IMAGE, **ports}, cwd=folder), cpu=True)


def ports_() -> tuple[int, int, int]:
    ports = free_ports()
    return ports.http, ports.grpc, ports.metrics


def containers(name: str) -> list[dict[str, Any]]:
    found = docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={name}").split()
    return json.loads(docker("inspect", *found)) if found else []


@pytest.mark.parametrize(
    "command",
    [service.up, lambda chosen, watch: service.up(chosen, watch=watch, recreate=True), service.down, service.settle],
    ids=["up", "restart", "down", "ps"],
)
def test_a_container_of_another_folder_is_left_alone_and_its_folder_and_owner_are_named(name, theirs, ours, command):
    (before,) = containers(name)
    if command is service.settle:
        docker("rename", before["Id"], f"{before['Name'][1:]}-previous")
    owner = user_name(theirs.stat().st_uid)
    with pytest.raises(InputError, match=f"belongs to {theirs} \\(of {owner}\\), not to {ours}") as caught:
        command(chosen(ours), watch=print)
    assert "COMPOSE_PROJECT_NAME" in str(caught.value.hint)
    (after,) = containers(name)
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])


def test_a_folder_that_is_gone_is_named_as_that(name, theirs, ours):
    shutil.rmtree(theirs)
    with pytest.raises(InputError, match=f"{theirs} \\(which does not exist\\)"):
        service.up(chosen(ours), watch=print)


def test_the_same_folder_by_another_path_is_ours(name, ours, tmp_path):
    link = tmp_path / "linked"
    link.mkdir()
    (link / name).symlink_to(ours)
    service.up(chosen(ours), watch=print)
    (before,) = containers(name)
    service.down(chosen(link / name), watch=print)
    assert not containers(name)
    assert before["Id"]


def test_a_name_of_its_own_is_all_that_the_other_folder_needs(name, theirs, ours):
    (ours / ".env").write_text(f"COMPOSE_PROJECT_NAME={name}-two\n")
    try:
        service.up(chosen(ours), watch=print)
        assert len(containers(name)) == len(containers(f"{name}-two")) == 1
        service.down(chosen(ours), watch=print)
        assert (len(containers(name)), len(containers(f"{name}-two"))) == (1, 0)
    finally:
        remove_project(f"{name}-two")


def test_locally_the_name_is_that_of_plain_docker_compose(ours):
    plain = subprocess.run(
        ["docker", "compose", "-f", "ml.yml", "config", "--format", "json"],
        cwd=ours,
        env={**os.environ, "TRITON_MODELS_DIR": str(ours / "triton")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert chosen(ours).definition.project == json.loads(plain.stdout)["name"]
