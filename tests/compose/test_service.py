"""ml.yml on the small CPU image, by the tasks' own library calls."""

import json
import os
import signal
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tritonclient import grpc as triton_grpc
from tritonclient import http as triton_http
from tritonclient.utils import InferenceServerException

from tests.compose.projects import remove_project
from tests.onnx_models import affine, write_model
from tests.paths import PROJECT
from tritonops.compose import service
from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.compose.commands import Compose
from tritonops.compose.ownership import find_containers
from tritonops.compose.service import Service
from tritonops.errors import (
    DockerError,
    GpuMissingError,
    ImagePullError,
    InputError,
    PublishedPortTakenError,
    ServiceError,
)
from tritonops.project import Project
from tritonops.server.ports import free_ports
from tritonops.triton.client.api_types import ModelStatus
from tritonops.triton.client.client import connect
from tritonops.triton.load import load_model

pytestmark = pytest.mark.docker
TOKEN = "a-token-of-these-tests"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A Compose project of its own over a models directory with one model."""
    models_dir = tmp_path_factory.mktemp("compose") / "triton"
    write_model(models_dir, "first", {1: affine(3)})
    ports = free_ports()
    return {
        "COMPOSE_PROJECT_NAME": f"tritonops-test-{os.getpid()}",
        "TRITON_MODELS_DIR": str(models_dir),
        "TRITON_IMAGE": CPU_IMAGE,
        "TRITON_TOKEN": TOKEN,
        "TRITON_EXPOSE_HTTP": str(ports.http),
        "TRITON_EXPOSE_GRPC": str(ports.grpc),
        "TRITON_EXPOSE_METRICS": str(ports.metrics),
    }


@pytest.fixture
def choose(environment, monkeypatch):
    """The service that the tasks would choose, with some variables changed."""

    def choose(*, cpu=True, **changed):
        changed = environment | changed
        monkeypatch.setenv("COMPOSE_PROJECT_NAME", changed["COMPOSE_PROJECT_NAME"])
        return Service.of(Project.load(PROJECT, environ=changed, env_file=False), cpu=cpu)

    return choose


@pytest.fixture
def spare(choose, tmp_path):
    """A second service, which fails to start: with its own project, gone with the test."""
    made = []

    def spare(**changed):
        changed = {name: str(port) for name, port in _ports().items()} | changed
        made.append(choose(COMPOSE_PROJECT_NAME=f"tritonops-spare-{os.getpid()}", **changed))
        return made[-1]

    yield spare
    remove_project(f"tritonops-spare-{os.getpid()}")


def _ports():
    ports = free_ports()
    return {
        "TRITON_EXPOSE_HTTP": ports.http,
        "TRITON_EXPOSE_GRPC": ports.grpc,
        "TRITON_EXPOSE_METRICS": ports.metrics,
    }


@pytest.fixture(scope="module")
def _down_at_the_end(environment):
    yield
    remove_project(environment["COMPOSE_PROJECT_NAME"])


@pytest.fixture
def up(choose, _down_at_the_end):
    """The service, up; only the first test waits for it."""
    chosen = choose()
    return chosen, service.up(chosen, watch=print, timeout=60)


@pytest.fixture
def client(up):
    with connect(up[1].url, token=TOKEN) as client:
        yield client


def inspected(chosen):
    (container,) = find_containers(chosen.docker, chosen.definition)
    return container.data


def test_up_returns_once_every_model_serves(up):
    _, served = up
    assert served.models == (ModelStatus("first", 1, "READY", None),)


def test_nothing_listens_beyond_the_loopback_interface(up, environment):
    ports = {int(value) for name, value in environment.items() if name.startswith("TRITON_EXPOSE_")}
    assert listening_addresses(ports) == {"127.0.0.1"}


def listening_addresses(ports):
    """What `ss -ltn` reads: addresses are hexadecimal, of one machine word each, and state 0A is LISTEN."""
    found = set()
    for family, table in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, port = local.split(":")
            if state == "0A" and int(port, 16) in ports:
                words = bytes.fromhex(address)
                packed = b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
                found.add(socket.inet_ntop(family, packed))
    return found


def test_the_container_holds_no_secret_in_its_settings_is_not_root_and_becomes_healthy(up):
    chosen, _ = up
    for _ in range(60):
        found = inspected(chosen)
        if found["State"]["Health"]["Status"] == "healthy":
            break
        chosen.docker.output(["docker", "exec", found["Id"], "sleep", "0.5"])
    assert found["State"]["Health"]["Status"] == "healthy"
    assert TOKEN not in json.dumps(found)
    assert chosen.docker.output(["docker", "exec", found["Id"], "id", "-u"]).strip() == "1000"
    with pytest.raises(DockerError, match="Read-only file system"):
        chosen.docker.output(["docker", "exec", found["Id"], "touch", "/models/x"])


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get_model_repository_index(),
        lambda client: client.load_model("first"),
        lambda client: client.unload_model("first"),
        lambda client: client.get_model_config("first"),
        lambda client: client.get_system_shared_memory_status(),
        lambda client: client.get_trace_settings(),
        lambda client: client.get_log_settings(),
    ],
    ids=["index", "load", "unload", "config", "shared memory", "trace", "logging"],
)
def test_a_plain_client_without_the_token_is_refused_control(up, environment, call):
    with (
        triton_grpc.InferenceServerClient(up[1].url) as client,
        pytest.raises(InferenceServerException, match="restricted"),
    ):
        call(client)
    http_url = f"127.0.0.1:{environment['TRITON_EXPOSE_HTTP']}"
    with triton_http.InferenceServerClient(http_url) as client, pytest.raises(InferenceServerException, match="restr"):
        call(client)


def test_a_plain_client_without_the_token_can_infer(up, environment):
    url = f"127.0.0.1:{environment['TRITON_EXPOSE_HTTP']}"
    for library, address in ((triton_grpc, up[1].url), (triton_http, url)):
        with library.InferenceServerClient(address) as client:
            tensor = library.InferInput("x", [1, 3], "FP32")
            tensor.set_data_from_numpy(np.ones((1, 3), np.float32))
            assert client.infer("first", [tensor]).as_numpy("y").tolist() == [[3, 3, 3]]


def test_the_status_shows_the_container_with_its_ports(up, environment):
    (container,) = service.containers(up[0])
    assert (container.image, container.state) == (CPU_IMAGE, "running")
    assert f"127.0.0.1:{environment['TRITON_EXPOSE_GRPC']}->8001" in container.ports


def test_the_last_lines_of_the_log_can_be_had(up):
    lines: list[str] = []
    service.logs(up[0], watch=lines.append, tail=3)
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)


def test_following_the_log_ends_cleanly_on_ctrl_c(up, environment):
    """The whole process group gets the signal, as at a terminal."""
    command = [str(PROJECT / "inv"), "compose.logs", "--cpu", "--follow", "--tail", "1"]
    with subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, b"")


def test_a_taken_port_is_named(spare):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PublishedPortTakenError, match=f"127.0.0.1:{port}"):
            service.up(spare(TRITON_EXPOSE_GRPC=str(port)), watch=print)


def test_an_image_that_cannot_be_pulled_is_named_and_the_way_to_build_one(spare):
    with pytest.raises(ImagePullError, match="localhost/no-such-image") as raised:
        service.up(spare(TRITON_IMAGE="localhost/no-such-image"), watch=print)
    assert "compose.build-cpu" in str(raised.value.hint)


def test_a_service_that_an_application_builds_itself_has_nothing_to_pull(choose, tmp_path):
    app = tmp_path / "app.yml"
    app.write_text("services:\n  triton:\n    build: .\n")
    chosen = choose()
    service.pull(replace(chosen, compose=Compose((app,))), watch=print)


def test_a_service_that_the_files_do_not_have_is_an_error_of_input(choose):
    chosen = choose()
    unknown = replace(chosen, compose=Compose(chosen.compose.files, "tritom"))
    with pytest.raises(InputError, match="no service 'tritom'") as raised:
        service.up(unknown, watch=print)
    assert "'triton'" in str(raised.value.hint)


def test_a_server_that_ends_while_starting_shows_the_end_of_its_log(spare, tmp_path):
    broken = tmp_path / "broken.yml"
    broken.write_text("services:\n  triton:\n    command: [sh, -c, 'echo this is why; exit 7']\n    restart: 'no'\n")
    chosen = spare()
    merged = replace(chosen, compose=Compose((*chosen.compose.files, broken)))
    with pytest.raises(ServiceError, match=r"(?s)exit code 7.*this is why"):
        service.up(merged, watch=print)


def test_a_server_that_ends_again_and_again_is_not_waited_for(spare, tmp_path):
    broken = tmp_path / "broken.yml"
    broken.write_text("services:\n  triton:\n    command: [sh, -c, 'echo again; sleep 0.2; exit 7']\n")
    chosen = spare()
    merged = replace(chosen, compose=Compose((*chosen.compose.files, broken)))
    with pytest.raises(ServiceError, match="again"):
        service.up(merged, watch=print)


def test_without_a_gpu_the_way_out_is_named(spare):
    chosen = spare()
    if "nvidia" in chosen.docker.output(["docker", "info", "--format", "{{json .Runtimes}}"]):
        pytest.skip("this engine can hand out GPUs")
    gpu = replace(chosen, compose=Compose((PROJECT / "docker-compose.yml",)))
    with pytest.raises(GpuMissingError) as raised:
        service.up(gpu, watch=print)
    assert "--cpu" in str(raised.value.hint)


def test_a_models_directory_that_is_not_there_is_not_made(spare, tmp_path):
    nowhere = tmp_path / "no where"
    with pytest.raises(InputError, match=f"the folder {nowhere}, .* does not exist"):
        service.up(spare(TRITON_MODELS_DIR=str(nowhere)), watch=print)
    assert not nowhere.exists()


def test_models_that_the_container_may_not_read_are_an_error_and_nobody_waits_for_them(spare, tmp_path, monkeypatch):
    models_dir = tmp_path / "triton"
    models_dir.mkdir(mode=0o700)
    monkeypatch.setenv("TRITON_USER", "65534:65534")
    with pytest.raises(ServiceError, match=r"(?s)failed to open directory /models.*may not read.*TRITON_USER"):
        service.up(spare(TRITON_MODELS_DIR=str(models_dir), TRITON_TOKEN=""), watch=print, timeout=60)


def test_without_a_container_the_log_is_an_error_that_names_the_next_step(spare):
    with pytest.raises(ServiceError, match="no container") as raised:
        service.logs(spare(), watch=print)
    assert "compose.up" in str(raised.value.hint)


def test_a_compose_file_list_wins_over_the_default_file_but_not_over_cpu(environment, tmp_path, monkeypatch):
    monkeypatch.setenv("COMPOSE_FILE", "app.yml:ml.yml")
    monkeypatch.chdir(tmp_path)
    project = Project.load(PROJECT, env_file=False)
    assert Service.of(project).compose.files == ()
    assert Service.of(project).docker.folder == tmp_path
    assert Service.of(project).docker.variables["COMPOSE_FILE"] == "app.yml:ml.yml"
    assert Service.of(project, cpu=True).compose.files == (PROJECT / "ml.yml",)


# From here on the container is recreated, which takes seconds: few tests, in this order.


def test_a_restart_keeps_what_was_loaded_and_takes_the_settings_of_now(up, choose, client):
    chosen, _ = up
    write_model(chosen.models_dir, "second", {1: affine(4)})
    load_model(client, "second")
    (write_model(chosen.models_dir, "unreadable") / "config.pbtxt").write_text("nonsense { ")
    served = service.up(choose(TRITON_TOKEN="another"), watch=print, timeout=60, recreate=True)
    rows = {row.name: row for row in served.models}
    assert (rows["first"].state, rows["second"].state) == ("READY", "READY")
    with connect(served.url, token="another") as other:
        assert len(other.index()) == 3
    # The index has no reason for this one; the log does.
    assert rows["unreadable"].state is None
    assert 'no field named "nonsense"' in str(rows["unreadable"].reason)
    assert any("unreadable" in line for line in served.errors)


def test_up_with_another_token_makes_a_new_container_that_takes_it(choose):
    before = inspected(choose())["Id"]
    served = service.up(choose(TRITON_TOKEN="a-newer-one"), watch=print, timeout=60)
    assert [row.name for row in served.models if row.state == "READY"] == ["first", "second"]
    assert inspected(choose())["Id"] != before
