"""When ml.yml's container counts as healthy: an application waits for just that."""

import subprocess
import time
from datetime import datetime

import pytest

from tests.compose.projects import docker, write_slow_model
from tests.paths import PROJECT
from tritonops.models.catalog.valid_values import _JUNK
from tritonops.triton.client.client import connect
from tritonops.triton.client.waiting import Deadline
from tritonops.triton.load import load_model
from tritonops.triton.unload import unload_model

pytestmark = pytest.mark.docker


@pytest.fixture
def application(project, tmp_path):
    """`docker compose up` of an application that waits for Triton."""
    app = tmp_path / "app.yml"
    app.write_text(
        "services:\n  app:\n"
        f"    image: {project.variables['TRITON_IMAGE']}\n    command: [sleep, '100']\n    stop_grace_period: 0s\n"
        "    depends_on: {triton: {condition: service_healthy}}\n"
    )
    chosen = project.service(app)
    command = [*chosen.compose.config()[:-3], "up", "--detach", "app"]
    with subprocess.Popen(
        command, cwd=PROJECT, env={**chosen.docker.variables, "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/root"}
    ) as process:
        yield process
        process.terminate()


def one(project, service):
    for _ in Deadline.after(20).polls():
        found = [each for each in project.containers() if each["Name"] == f"/{project.name}-{service}-1"]
        if found:
            return found[0]
    raise AssertionError(f"no container of {service}")


def has_started(project):
    return one(project, "app")["State"]["Status"] != "created"


def wait_until(condition, timeout=30.0):
    """Return the moment at which it became true."""
    for _ in Deadline.after(timeout).polls():
        if condition():
            return time.time()
    raise AssertionError("it never came true")


def test_an_application_is_let_in_when_each_model_is_ready_and_not_before(project, request):
    write_slow_model(project.models_dir, "late", load=1)
    config = project.models_dir / "late" / "config.pbtxt"
    right = config.read_text()
    config.write_text("nonsense {")
    request.getfixturevalue("application")
    wait_until(lambda: project.serving() == {"first"})
    for _ in Deadline.after(3).polls():
        assert not has_started(project)
    assert one(project, "triton")["State"]["Health"]["Status"] == "starting"
    config.write_text(right)
    with connect(f"127.0.0.1:{project.variables['TRITON_EXPOSE_GRPC']}") as client:
        load_model(client, "late")
    ready = time.time()
    wait_until(lambda: has_started(project))
    started = datetime.fromisoformat(one(project, "app")["State"]["StartedAt"]).timestamp()
    assert 0 < started - ready < 3

    # A model that was taken out of service is missed as long as its folder is there.
    triton = one(project, "triton")
    check = triton["Config"]["Healthcheck"]["Test"][1:]
    with connect(f"127.0.0.1:{project.variables['TRITON_EXPOSE_GRPC']}") as client:
        unload_model(client, "late")
    assert is_healthy(triton, check) == (False, "not READY: models/late")
    (project.models_dir / "late").rename(project.models_dir.with_name("late"))
    assert is_healthy(triton, check) == (True, "")


def is_healthy(container, check):
    done = subprocess.run(["docker", "exec", container["Id"], *check], capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stderr.strip()


@pytest.mark.parametrize("mode", [0o700, 0o711, 0o744])
def test_a_models_folder_that_the_container_may_not_read_is_not_healthy(project, mode):
    project.models_dir.chmod(mode)
    chosen = project.service(TRITON_USER="1000:1000")
    chosen.docker.output(chosen.compose.complete("triton"))
    triton = one(project, "triton")
    check = triton["Config"]["Healthcheck"]["Test"][1:]
    wait_until(lambda: is_healthy(triton, check)[1] == "its user may not read /models")
    project.models_dir.chmod(0o755)
    wait_until(lambda: is_healthy(triton, check) == (True, ""))


@pytest.mark.parametrize("file", ["ml.yml", "docker-compose.yml"])
def test_the_healthcheck_suits_engines_before_25(file, project):
    chosen = project.service(base=file)
    healthcheck = chosen.definition.service["healthcheck"]
    assert "start_interval" not in healthcheck
    assert healthcheck["interval"] == "1s"


def test_each_folder_is_loaded_and_asked_for_and_nothing_else(project):
    write_slow_model(project.models_dir, "v1.2-x_y")
    for junk in (".hidden", *_JUNK):
        (project.models_dir / junk).mkdir()
    (project.models_dir / "a file").write_text("no model")
    served = project.up()
    assert {row.name for row in served.models if row.state == "READY"} == {"first", "v1.2-x_y"}
    triton = project.container()
    assert is_healthy(triton, triton["Config"]["Healthcheck"]["Test"][1:]) == (True, "")
    count = "tr '\\0' '\\n' </proc/1/cmdline | grep -c load-model"
    assert docker("exec", triton["Id"], "sh", "-c", count).strip() == "2"
