"""docker-compose.yml and ml.yml as Compose understands them."""

import json

import pytest

from tests.paths import PROJECT
from tritonops.compose.commands import Compose
from tritonops.compose.engine.docker import Docker
from tritonops.errors import DockerError

pytestmark = pytest.mark.docker
FILES = ("docker-compose.yml", "ml.yml")


@pytest.fixture
def config():
    def read(*files, **variables):
        return json.loads(Docker(PROJECT, variables).output(Compose(files).config()))

    return read


@pytest.fixture(params=FILES)
def triton(request, config):
    return lambda **variables: config(request.param, **variables)["services"]["triton"]


@pytest.mark.parametrize("file", FILES)
def test_each_file_is_clean(file):
    message: list[str] = []
    Docker(PROJECT).watch(["docker", "compose", "--file", file, "config", "--quiet"], message.append)
    assert message == []


def test_ports_are_published_on_the_loopback_interface_unless_told_otherwise(triton):
    assert [(port["host_ip"], port["published"], port["target"]) for port in triton()["ports"]] == [
        ("127.0.0.1", "8000", 8000),
        ("127.0.0.1", "8001", 8001),
        ("127.0.0.1", "8002", 8002),
    ]
    changed = triton(
        TRITON_BIND="0.0.0.0", TRITON_EXPOSE_HTTP="5503", TRITON_EXPOSE_GRPC="5504", TRITON_EXPOSE_METRICS="5505"
    )
    assert [(port["host_ip"], port["published"]) for port in changed["ports"]] == [
        ("0.0.0.0", "5503"),
        ("0.0.0.0", "5504"),
        ("0.0.0.0", "5505"),
    ]


@pytest.mark.parametrize("file", FILES)
def test_a_name_instead_of_an_address_is_refused_because_docker_would_open_the_port_to_everybody(config, file):
    with pytest.raises(DockerError, match="Invalid ip address"):
        config(file, TRITON_BIND="localhost")


def test_the_container_is_not_root_and_only_reads_the_models(triton, tmp_path):
    service = triton(TRITON_MODELS_DIR=str(tmp_path))
    assert (service["user"], service["cap_drop"]) == ("1000:1000", ["ALL"])
    (volume,) = service["volumes"]
    assert (volume["source"], volume["target"], volume["read_only"]) == (str(tmp_path), "/models", True)


def test_variables_choose_image_restart_policy_memory_and_user(triton):
    service = triton(
        TRITON_IMAGE="localhost/mine",
        RESTART_POLICY="no",
        TRITON_MEMORY="2g",
        TRITON_SHM_SIZE="256m",
        TRITON_USER="33:33",
    )
    assert (service["image"], service["restart"], service["user"]) == ("localhost/mine", "no", "33:33")
    assert (service["mem_limit"], service["shm_size"]) == (str(2 << 30), str(256 << 20))


def test_the_default_image_has_the_security_fixes(triton):
    assert triton()["image"] == "nvcr.io/nvidia/tritonserver:26.07-py3"


def test_the_log_is_rotated(triton):
    assert triton()["logging"] == {"driver": "json-file", "options": {"max-size": "20m", "max-file": "5"}}


def test_a_gpu_is_reserved_on_the_server_only_and_can_be_chosen(config):
    def devices(file, **variables):
        return config(file, **variables)["services"]["triton"].get("deploy", {})

    def reserved(ids):
        device = {"capabilities": ["gpu"], "driver": "nvidia", "device_ids": ids}
        return {"resources": {"reservations": {"devices": [device]}}, "placement": {}}

    assert devices("docker-compose.yml") == reserved(["all"])
    assert devices("docker-compose.yml", TRITON_GPU="1") == reserved(["1"])
    assert devices("ml.yml") == {}


@pytest.mark.parametrize("file", FILES)
def test_the_token_does_not_stand_in_the_configuration(config, file):
    found = config(file, TRITON_TOKEN="a-secret-of-mine")
    assert found["services"]["triton"]["secrets"] == [{"source": "triton_token_given", "target": "triton_token"}]
    assert "a-secret-of-mine" not in json.dumps(found)


def test_ml_yml_merges_into_an_application_and_leaves_it_its_name(config, tmp_path):
    app = tmp_path / "docker-compose.yml"
    app.write_text("name: shop\nservices:\n  web:\n    image: web\n")
    found = config(str(app), str(PROJECT / "ml.yml"), TRITON_MODELS_DIR=str(tmp_path))
    assert found["name"] == "shop"
    assert sorted(found["services"]) == ["triton", "web"]
