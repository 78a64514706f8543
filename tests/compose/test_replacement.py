"""What serves goes on serving until something better does, whatever goes wrong."""

import os
import socket
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest

from tests.compose.projects import docker, identity, write_slow_model
from tests.onnx_models import affine, write_model
from tests.paths import PROJECT
from tritonops.compose import service
from tritonops.compose.commands import Compose
from tritonops.errors import (
    DockerError,
    GpuMissingError,
    ImagePullError,
    InputError,
    PublishedPortTakenError,
    ServiceError,
)

pytestmark = pytest.mark.docker
MODELS = {"first", "second"}


def override(tmp_path, text):
    path = tmp_path / "override.yml"
    path.write_text(f"services:\n  triton:\n{text}")
    return path


@pytest.fixture(scope="module")
def other_images(tmp_path_factory):
    """An image without tritonserver, and one whose tritonserver is of another platform."""
    folder = tmp_path_factory.mktemp("images")
    tag = f"localhost/tritonops-test-{os.getpid()}"
    made = {}
    for kind, program in (("empty", None), ("foreign", b"\x7fELF of another machine")):
        root = folder / kind
        (root / "bin").mkdir(parents=True)
        if program:
            (root / "bin" / "tritonserver").write_bytes(program)
            (root / "bin" / "tritonserver").chmod(0o755)
        made[kind] = f"{tag}:{kind}"
        archive = folder / f"{kind}.tar"
        os.system(f"tar -C {root} -c . -f {archive}")
        docker("import", "--change", "ENV PATH=/bin", str(archive), made[kind])
    yield made
    docker("image", "rm", *made.values())


REFUSED = {
    "a GPU on a machine without one": (GpuMissingError, "GPU", {}, None),
    "a runtime that is unknown": (GpuMissingError, "nvidia", {}, "    runtime: nvidia\n"),
    "an address of another machine": (InputError, "192.0.2.1.*not an address", {"TRITON_BIND": "192.0.2.1"}, None),
    "an image without tritonserver": (InputError, "has no tritonserver", {"TRITON_IMAGE": "empty"}, None),
    "an image of another platform": (
        InputError,
        "is for linux/amd64, the engine's machine is linux/amd64: exec format error",
        {"TRITON_IMAGE": "foreign"},
        None,
    ),
    "an image that is nowhere": (ImagePullError, "localhost/nowhere", {"TRITON_IMAGE": "localhost/nowhere"}, None),
    "an image that may not be pulled": (
        ImagePullError,
        "pull_policy is never",
        {"TRITON_IMAGE": "localhost/nowhere"},
        "    pull_policy: never\n",
    ),
    "no memory to speak of": (InputError, "memory limit is too small", {"TRITON_MEMORY": "5m"}, None),
    "a secret for a read-only container": (InputError, "read_only", {"TRITON_TOKEN": "new"}, "    read_only: true\n"),
    "an external network that is missing": (
        DockerError,
        "external network",
        {},
        "    networks: [gone]\nnetworks:\n  gone: {external: true}\n",
    ),
    "the host's network without a token": (InputError, "every address", {}, "    network_mode: host\n"),
    "several containers": (InputError, "has 2 containers", {}, "    deploy: {replicas: 2}\n"),
    "a service that is scaled to none": (InputError, "has 0 containers", {}, "    scale: 0\n"),
    "a service without replicas": (InputError, "has 0 containers", {}, "    deploy: {replicas: 0}\n"),
    "a name that lets no second container be": (
        InputError,
        "container_name",
        {},
        "    container_name: tritonops-test-fixed\n",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_container_that_cannot_start_is_refused_while_the_old_one_serves(running, other_images, tmp_path, case):
    error, match, changed, extra = REFUSED[case]
    before = identity(running)
    changed = {name: other_images.get(value, value) for name, value in changed.items()}
    files = [override(tmp_path, extra)] if extra else []
    base = "docker-compose.yml" if case.startswith("a GPU") else "ml.yml"
    with pytest.raises(error, match=match):
        running.up(*files, base=base, **changed)
    assert identity(running) == before
    assert running.serving() == MODELS
    assert running.lines[-1].startswith(f"serving now: {before[1][1:]} ")
    assert running.lines[-1].endswith("models READY: first, second")


def test_a_taken_port_is_refused_while_the_old_container_serves(running):
    before = identity(running)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PublishedPortTakenError, match=f"127.0.0.1:{port}"):
            running.up(TRITON_EXPOSE_HTTP=str(port))
    assert identity(running) == before
    assert running.serving() == MODELS


@pytest.mark.parametrize("serves_before", [False, True])
def test_another_server_in_the_hosts_network_is_not_taken_for_ours(project, tmp_path, serves_before):
    if serves_before:
        project.up()
    host = override(tmp_path, "    network_mode: host\n")
    with ExitStack() as stack:
        with suppress(OSError):  # an existing one is fine
            stack.enter_context(socket.create_server(("127.0.0.1", 8001)))
        with pytest.raises(PublishedPortTakenError, match=r"127\.0\.0\.1:8001"):
            project.up(host, TRITON_TOKEN="a-token")
    assert len(project.containers()) == serves_before
    assert project.serving() == (MODELS if serves_before else set())


ROLLED_BACK = {
    "too little memory": (
        r"(?s)killed it for memory: the limit is 20 MiB; TRITON_MEMORY",
        {"TRITON_MEMORY": "20m"},
        None,
    ),
    "too little shared memory": (r"(?s)no model.*64 KiB; TRITON_SHM_SIZE", {"TRITON_SHM_SIZE": "64k"}, None),
    "a command that ends": (r"(?s)exit code 7.*this is why", {}, "    command: [sh, -c, 'echo this is why; exit 7']\n"),
}


@pytest.mark.parametrize("case", ROLLED_BACK)
def test_where_the_new_container_does_not_come_up_the_old_one_is_started_again(running, tmp_path, case):
    match, changed, extra = ROLLED_BACK[case]
    before = identity(running)
    with pytest.raises(ServiceError, match=match):
        running.up(*([override(tmp_path, extra)] if extra else []), **changed)
    assert identity(running)[:2] == before[:2]
    assert running.serving() == MODELS
    assert running.lines[-1].endswith("models READY: first, second")


def test_a_replaced_container_has_the_name_of_the_old_one_and_is_what_compose_itself_would_have(running):
    before = identity(running)
    running.up(TRITON_MEMORY="3g")
    after = identity(running)
    assert (after[0] != before[0], after[1]) == (True, before[1])
    assert running.container()["HostConfig"]["Memory"] == 3 << 30
    chosen = running.service(TRITON_MEMORY="3g")
    command = ["docker", "compose", "--file", "ml.yml", "up", "--detach", "--no-deps", "triton"]
    chosen.docker.output(command)
    assert identity(running) == after
    running.up(TRITON_MEMORY="3g")
    assert identity(running) == after


def test_an_empty_models_folder_does_not_take_the_place_of_one_that_serves(project):
    """A typo in the folder's name gives an empty server that Triton calls ready."""
    project.up()
    empty = project.models_dir.with_name("empty")
    empty.mkdir()
    with pytest.raises(ServiceError, match="serves no model"):
        project.up(TRITON_MODELS_DIR=str(empty))
    assert project.serving() == MODELS


def test_one_bad_model_does_not_keep_the_new_container_from_serving_the_others(project):
    project.up()
    write_model(project.models_dir, "bad", {1: affine(3)})
    (project.models_dir / "bad" / "config.pbtxt").write_text("nonsense {")
    served = project.up(recreate=True)
    assert {row.name for row in served.models if row.state != "READY"} == {"bad"}
    assert project.serving() == MODELS


def test_a_paused_container_is_named_and_left_alone(project):
    project.up()
    name = project.container()["Name"][1:]
    docker("pause", name)
    for recreate in (False, True):
        with pytest.raises(ServiceError, match=f"{name} is paused") as raised:
            project.up(recreate=recreate)
        assert raised.value.hint == f"docker unpause {name}"
    assert project.lines[-1].endswith("but it is paused")
    docker("unpause", name)
    project.up()
    assert project.serving() == MODELS


def test_a_container_with_a_fixed_name_is_started_again_in_place_and_not_replaced(project, tmp_path):
    fixed = override(tmp_path, f"    container_name: {project.name}-fixed\n    logging: {{driver: none}}\n")
    project.up(fixed)
    before = identity(project)
    project.up(fixed)
    assert identity(project) == before
    project.up(fixed, recreate=True)
    after = identity(project)
    assert (after[:2], after[2] > before[2]) == (before[:2], True)
    with pytest.raises(ServiceError, match=f"no log of {project.name}-fixed: its logging driver is none"):
        service.logs(project.service(fixed), watch=print)
    for changed in ({"TRITON_MEMORY": "3g"}, {"TRITON_TOKEN": "new"}):
        with pytest.raises(InputError, match="container_name"):
            project.up(fixed, **changed)
        assert identity(project) == after
        assert project.serving() == MODELS


def test_down_takes_the_one_service_of_an_application(project, tmp_path):
    app = tmp_path / "app.yml"
    app.write_text(f"services:\n  app:\n    image: {project.variables['TRITON_IMAGE']}\n    command: [sleep, '100']\n")
    chosen = project.service(app)
    chosen.docker.output([*chosen.compose.config()[:-3], "up", "--detach", "app"])
    (other,) = [found["Id"] for found in project.containers()]
    project.up(app)
    service.down(chosen, watch=print)
    assert project.container()["Id"] == other
    assert project.container()["State"]["Status"] == "running"
    docker("kill", other)


def test_a_token_in_the_env_file_of_an_included_folder_does_not_end_in_a_crash_loop(project, tmp_path):
    """Compose reads that file for the included files alone, and not for their secrets."""
    included = tmp_path / "ml"
    included.mkdir()
    (included / "ml.yml").write_text((PROJECT / "ml.yml").read_text())
    (included / ".env").write_text("TRITON_TOKEN=of-the-included-folder\n")
    app = tmp_path / "app.yml"
    app.write_text("include: [ml/ml.yml]\n")
    chosen = replace(project.service(), compose=Compose((app,)))
    for _ in range(2):
        with pytest.raises(InputError, match="TRITON_TOKEN is not set where Compose looks") as raised:
            service.up(chosen, watch=project.lines.append, timeout=60)
        assert ".env next to the first Compose file" in str(raised.value.hint)
        assert project.containers() == []


def test_a_stub_that_is_killed_for_memory_while_the_server_lives_is_named(project):
    write_slow_model(project.models_dir, "hungry")
    code = project.models_dir / "hungry" / "1" / "model.py"
    code.write_text(code.read_text().replace("time.sleep(0)\n    def ex", "self.hoard = b'x' * (3 << 30)\n    def ex"))
    assert "hoard" in code.read_text()
    served = project.up(TRITON_MEMORY="1g")
    assert {row.name for row in served.models if row.state != "READY"} == {"hungry"}
    assert any("for memory: the limit is 1 GiB; TRITON_MEMORY" in cause for cause in served.causes)
    assert project.serving() == MODELS
