"""`inv compose.up` and plain `docker compose up SERVICE` make the same container of the same files.

Some set-ups run in CI. All of them: `ALL_SETUPS=1 ./inv test --path tests/compose/test_setups.py`.
"""

import json
import os
import re
import shutil
import subprocess
import uuid

import pytest

from tests.compose.setups import APPLICATION, SETUPS
from tests.onnx_models import affine, write_model
from tests.paths import PROJECT
from tritonops.compose import service as compose
from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.compose.service import Service
from tritonops.errors import InputError, ServiceError
from tritonops.project import Project
from tritonops.server.ports import free_ports

pytestmark = pytest.mark.docker
CHOSEN = [setup for setup in SETUPS if setup.in_ci or os.environ.get("ALL_SETUPS")]
# Of the way in which the container was created, not of its settings.
OF_PROCESS = ("com.docker.compose.container-number", "com.docker.compose.version", "com.docker.compose.depends_on")


class Shop:
    """An application beside this project, with one model, and ports and a project name of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.name = f"tritonops-setup-{uuid.uuid4().hex[:12]}"
        write_model(folder / "models", "first", {1: affine(3)})
        (folder / "tritonops").mkdir()
        for name in ("ml.yml", "docker-compose.yml"):
            shutil.copy(PROJECT / name, folder / "tritonops" / name)
        self.write({"shop/compose.yml": APPLICATION})
        ports = free_ports()
        self.environ = {
            "COMPOSE_PROJECT_NAME": self.name,
            "TRITON_IMAGE": CPU_IMAGE,
            "TRITON_MODELS_DIR": str(folder / "models"),
            "TRITON_EXPOSE_HTTP": str(ports.http),
            "TRITON_EXPOSE_GRPC": str(ports.grpc),
            "TRITON_EXPOSE_METRICS": str(ports.metrics),
            "TRITON_USER": f"{os.getuid()}:{os.getgid()}",
        }

    def write(self, files):
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("NAMED", self.name).replace("IMAGE", CPU_IMAGE))
            if "NAMED" in text and "container_name" not in text:
                self.environ.pop("COMPOSE_PROJECT_NAME", None)

    def service(self, environ, folder="shop", name="triton"):
        cwd = self.folder / folder
        project = Project.load(self.folder / "tritonops", environ={**self.environ, **environ}, cwd=cwd)
        return Service.of(project, name=name)

    def plain(self, environ, folder, *arguments):
        base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            ["docker", "compose", *arguments],
            cwd=self.folder / folder,
            env={**base, **self.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def containers(self):
        found = docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={self.name}").split()
        return json.loads(docker("inspect", *found)) if found else []


def docker(*arguments):
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    yield shop
    if found := [container["Id"] for container in shop.containers()]:
        docker("rm", "--force", *found)
    network = f"label=com.docker.compose.project={shop.name}"
    for name in docker("network", "ls", "--quiet", "--filter", network).split():
        docker("network", "rm", name)


def settings_of(container):
    """What Compose chose, without what differs from container to container."""
    config = {name: value for name, value in container["Config"].items() if name != "Hostname"}
    config["Labels"] = {name: value for name, value in config["Labels"].items() if name not in OF_PROCESS}
    networks = container["NetworkSettings"]["Networks"].items()
    # One that was started has its id as an alias too.
    aliases = {name: set(network["Aliases"] or ()) - {container["Id"][:12]} for name, network in networks}
    host = {**container["HostConfig"], "Mounts": sorted(container["HostConfig"]["Mounts"], key=json.dumps)}
    return {"name": container["Name"], "config": config, "host": host, "aliases": aliases}


def of_service(containers, name):
    (container,) = [found for found in containers if found["Config"]["Labels"]["com.docker.compose.service"] == name]
    return container


@pytest.mark.parametrize("setup", CHOSEN, ids=lambda setup: setup.about)
def test_the_container_is_that_of_plain_compose(setup, shop):
    shop.write(setup.files)
    service = shop.service(setup.environ, setup.folder, setup.service)
    served = compose.up(service, watch=print, timeout=120)
    assert [(row.name, row.state) for row in served.models] == [("first", "READY")]
    ours = of_service(shop.containers(), setup.service)
    compose.down(service, watch=print)
    environ = {**setup.environ, **setup.plain_environ}
    shop.plain(environ, setup.folder, "up", "--no-start", setup.service)
    assert settings_of(ours) == settings_of(of_service(shop.containers(), setup.service))


def test_an_init_service_that_fails_is_named_with_its_log_and_what_serves_goes_on(shop):
    shop.write({"shop/.env": "COMPOSE_FILE=compose.yml:../tritonops/ml.yml\n"})
    service = shop.service({})
    compose.up(service, watch=print, timeout=120)
    failing = "    image: IMAGE\n    entrypoint: []\n    command: [sh, -c, 'echo no models there; exit 3']\n"
    depends = "    depends_on: {fetch: {condition: service_completed_successfully}}\n    labels: {a: b}\n"
    shop.write(
        {
            "shop/.env": "COMPOSE_FILE=compose.yml:../tritonops/ml.yml:more.yml\n",
            "shop/more.yml": f"services:\n  fetch:\n{failing}  triton:\n{depends}",
        }
    )
    output: list[str] = []
    with pytest.raises(ServiceError, match=r"fetch ended with exit code 3\. (?s:.*)no models there"):
        compose.up(shop.service({}), watch=output.append, timeout=120)
    assert output[-1].startswith("serving now:")
    assert "first" in output[-1]


def test_a_service_that_triton_depends_on_is_started_and_a_running_one_is_left_alone(shop):
    other = "    image: IMAGE\n    entrypoint: []\n    command: [sleep, '600']\n    init: true\n"
    files = {
        "shop/.env": "COMPOSE_FILE=compose.yml:../tritonops/ml.yml:more.yml\n",
        "shop/more.yml": f"services:\n  other:\n{other}  triton:\n    depends_on: [other]\n",
    }
    shop.write(files)
    compose.up(shop.service({}), watch=print, timeout=120)
    first = of_service(shop.containers(), "other")
    assert first["State"]["Running"]
    shop.write({"shop/more.yml": files["shop/more.yml"].replace("    init: true\n", "    labels: {a: b}\n")})
    compose.up(shop.service({}), watch=print, timeout=120)
    assert of_service(shop.containers(), "other")["Id"] == first["Id"]


def test_a_service_that_only_has_to_be_started_may_end_or_be_unhealthy_as_for_plain_compose(shop):
    once = "    image: IMAGE\n    entrypoint: []\n    command: ['true']\n"
    sick = "    image: IMAGE\n    entrypoint: []\n    command: [sleep, '600']\n    init: true\n"
    sick += "    healthcheck: {test: ['CMD', 'false'], interval: 100ms, retries: 1}\n"
    shop.write(
        {
            "shop/.env": "COMPOSE_FILE=compose.yml:../tritonops/ml.yml:more.yml\n",
            "shop/more.yml": f"services:\n  once:\n{once}  sick:\n{sick}  triton:\n    depends_on: [once, sick]\n",
        }
    )
    served = compose.up(shop.service({}), watch=print, timeout=120)
    assert [row.state for row in served.models] == ["READY"]


@pytest.mark.parametrize("none", ["scale: 0", "deploy: {replicas: 0}"])
@pytest.mark.parametrize("condition", ["service_started", "service_healthy", "service_completed_successfully"])
def test_a_service_that_is_scaled_to_none_is_not_waited_for_as_by_plain_compose(shop, condition, none):
    shop.write(
        {
            "shop/.env": "COMPOSE_FILE=compose.yml:../tritonops/ml.yml:more.yml\n",
            "shop/more.yml": f"services:\n  fetch:\n    image: IMAGE\n    {none}\n"
            f"  triton:\n    depends_on: {{fetch: {{condition: {condition}}}}}\n",
        }
    )
    served = compose.up(shop.service({}), watch=print, timeout=120)
    assert [row.state for row in served.models] == ["READY"]


def test_of_several_containers_of_an_init_service_each_has_to_succeed(shop):
    (shop.folder / "made").mkdir()
    once = "    image: IMAGE\n    entrypoint: []\n    command: [mkdir, /made/by-the-first]\n    scale: 2\n"
    once += f"    user: '{os.getuid()}'\n    volumes: ['{shop.folder}/made:/made']\n"
    shop.write(
        {
            "shop/.env": "COMPOSE_FILE=compose.yml:../tritonops/ml.yml:more.yml\n",
            "shop/more.yml": f"services:\n  fetch:\n{once}  triton:\n"
            "    depends_on: {fetch: {condition: service_completed_successfully}}\n",
        }
    )
    with pytest.raises(ServiceError, match="fetch ended with exit code 1"):
        compose.up(shop.service({}), watch=print, timeout=120)


@pytest.mark.parametrize(
    ("command", "problem"), [("[sleep, '600']", "needed is unhealthy"), ("['true']", "needed is ended")]
)
def test_a_service_that_has_to_be_healthy_and_is_not_is_named_before_triton_starts(shop, command, problem):
    needed = f"    image: IMAGE\n    entrypoint: []\n    command: {command}\n    init: true\n"
    needed += "    healthcheck: {test: ['CMD', 'false'], interval: 100ms, retries: 1}\n"
    depends = "    depends_on: {needed: {condition: service_healthy}}\n"
    files = {
        "shop/.env": "COMPOSE_FILE=compose.yml:../tritonops/ml.yml:more.yml\n",
        "shop/more.yml": f"services:\n  needed:\n{needed}  triton:\n{depends}",
    }
    shop.write(files)
    output: list[str] = []
    with pytest.raises(ServiceError, match=problem):
        compose.up(shop.service({}), watch=output.append, timeout=120)
    assert output[-1] == "serving now: nothing"


def test_extends_without_the_secrets_is_refused_with_their_name(shop):
    text = "services:\n  triton:\n    extends: {file: ../tritonops/ml.yml, service: triton}\n"
    shop.write({"shop/compose.yml": text})
    with pytest.raises(InputError, match="triton_token"):
        compose.up(shop.service({"COMPOSE_FILE": "compose.yml"}), watch=print)


REFUSED = {
    "no YAML": "services:\n  triton:\n foo: [\n",
    "an unknown key": "services:\n  triton:\n    foo: 1\n",
    "a variable that has to be set": "services:\n  triton:\n    image: ${NEVER_SET?say which}\n",
    "an env file that is missing": "services:\n  triton:\n    env_file: nowhere.env\n",
    "services in a circle": "services:\n  a: {image: a, depends_on: [b]}\n  b: {image: a, depends_on: [a]}\n",
    "a service of no other file": "services:\n  triton:\n    extends: {file: ../tritonops/ml.yml, service: tritom}\n",
}


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_compose_refuses_are_wrong_input(shop, case):
    shop.write({"shop/more.yml": REFUSED[case]})
    with pytest.raises(InputError, match="compose"):
        compose.up(shop.service({"COMPOSE_FILE": "compose.yml:../tritonops/ml.yml:more.yml"}), watch=print)


def test_a_name_of_the_project_that_compose_refuses_is_wrong_input(shop):
    with pytest.raises(InputError, match='invalid project name "Upper"'):
        compose.up(shop.service({"COMPOSE_PROJECT_NAME": "Upper"}), watch=print)


def test_two_memory_limits_are_refused_with_both_names(shop):
    more = "services:\n  triton:\n    deploy: {resources: {limits: {memory: 2g}}}\n"
    shop.write({"shop/more.yml": more, "shop/.env": "COMPOSE_FILE=compose.yml:../tritonops/ml.yml:more.yml\n"})
    with pytest.raises(InputError, match=r"mem_limit.*deploy\.resources\.limits\.memory"):
        compose.up(shop.service({}), watch=print)


def test_the_lines_of_the_docs_for_extends_are_complete(shop):
    text = (PROJECT / "docs" / "docker.md").read_text()
    (block,) = [found for found in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "extends:" in found]
    shop.write({"shop/compose.yml": block})
    for token in ("", "a-token"):
        service = shop.service({"COMPOSE_FILE": "compose.yml", "TRITON_TOKEN": token})
        (secret,) = service.definition.service["secrets"]
        assert secret["source"] == ("triton_token_given" if token else "triton_token")
