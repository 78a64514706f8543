"""Two folders of remote deploys on one Docker engine: neither touches what the other serves."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.compose.projects import docker, remove_project
from tests.remote.earlier_version import make_earlier
from tests.remote.host.test_release_env import roll_back
from tests.remote.project import Site
from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.errors import DeployError, RolledBackError
from tritonops.remote.host.restarts import Runtime
from tritonops.remote.layout.compose_project import compose_project
from tritonops.remote.layout.inv_wrapper import inv_wrapper
from tritonops.remote.layout.paths import Layout
from tritonops.remote.layout.records import ReleaseRecord

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Hosts gpu-01 and gpu-02, whose Docker engine is the same one."""
    config = os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")  # where the Compose plugin may be
    with Site.at(tmp_path_factory.mktemp("pair"), "gpu-01", "gpu-02", DOCKER_CONFIG=config) as site:
        site.clone.hosts("gpu-01", "gpu-02", runtime="compose")
        for server in site.servers.values():
            with (server.root / "env").open("a") as env:
                env.write(f"TRITON_IMAGE={CPU_IMAGE}\n")
        site.serve(alpha=1)
        for name in site.servers:
            site.deploy(name)
        yield site
        for server in site.servers.values():
            remove_project(compose_project(server.root))


def serving(site: Site, name: str) -> str:
    """The container of a root, and when its program was started."""
    folder = site.servers[name].root / "shared/triton"
    found = docker("ps", "--quiet", "--filter", f"volume={folder}").split()
    return docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}} {{.Name}}", *found).strip() if found else ""


def test_they_deploy_restart_and_stop_without_touching_each_other(pair):
    pair.serve(alpha=2)
    pair.deploy("gpu-01")
    pair.serve(alpha=3)
    first = serving(pair, "gpu-01")
    pair.deploy("gpu-02")
    assert (pair.answers("gpu-01"), pair.answers("gpu-02")) == ({"alpha": 2}, {"alpha": 3})
    assert serving(pair, "gpu-01") == first
    second = serving(pair, "gpu-02")
    pair.clone.inv("remote.restart", "--host", "gpu-01", "--yes")
    assert serving(pair, "gpu-01") != first
    assert serving(pair, "gpu-02") == second
    with (pair.servers["gpu-01"].root / "env").open("a") as env:
        env.write("TRITON_MEMORY=3g\n")
    result = pair.deploy("gpu-01")
    assert (result.restarted, pair.answers("gpu-01")) == (("TRITON_MEMORY",), {"alpha": 3})
    assert result.gap
    assert "Started GRPCInferenceService" in pair.clone.inv("remote.logs", "--host", "gpu-01", "--lines", "1000").stdout
    pair.clone.inv("remote.run", "--host", "gpu-01", "--", "compose.down", "--cpu")
    assert serving(pair, "gpu-01") == ""
    assert serving(pair, "gpu-02") == second
    assert pair.answers("gpu-02") == {"alpha": 3}
    pair.deploy("gpu-01")
    assert pair.answers("gpu-01") == {"alpha": 3}


def test_an_image_without_triton_is_refused_while_the_old_container_serves(pair, tmp_path):
    image = f"localhost/tritonops-test-{os.getpid()}:empty"
    (tmp_path / "empty").mkdir()
    archive = tmp_path / "empty.tar"
    os.system(f"tar -C {tmp_path / 'empty'} -c . -f {archive}")
    docker("import", str(archive), image)
    pair.serve(alpha=4)
    pair.deploy("gpu-01")
    before, env = serving(pair, "gpu-01"), pair.servers["gpu-01"].root / "env"
    text = env.read_text()
    env.write_text(text.replace(CPU_IMAGE, image))
    try:
        pair.serve(alpha=5)
        with pair.inferring("alpha", "gpu-01") as observed, pytest.raises(DeployError, match="tritonserver"):
            pair.deploy("gpu-01")
    finally:
        env.write_text(text)
        docker("image", "rm", image)
    assert not observed.failures
    assert observed.answers == {4.0}
    assert serving(pair, "gpu-01") == before
    assert pair.deploy("gpu-01").what == "deployed"


def test_no_live_request_meets_a_model_that_answers_wrong_in_a_container(pair):
    pair.serve(alpha=20)
    pair.deploy("gpu-01")
    before, smoke = serving(pair, "gpu-01"), pair.clone.folder / "triton-config/alpha/smoke.json"
    smoke.write_text(json.dumps({"inputs": {"x": [[1, 1, 1]]}, "outputs": {"y": [[22, 22, 22]]}}))
    pair.serve(alpha=21)
    with (
        pair.inferring("alpha", "gpu-01") as observed,
        pytest.raises(DeployError, match="smoke tests failed") as caught,
    ):
        pair.deploy("gpu-01")
    smoke.unlink()
    pair.clone.commit("no smoke test")
    assert not isinstance(caught.value, RolledBackError)
    assert (observed.answers, observed.failures) == ({20.0}, [])
    assert serving(pair, "gpu-01") == before
    project = compose_project(pair.servers["gpu-01"].root)
    assert not docker("ps", "--all", "--quiet", "--filter", f"name={project}-triton-trial").split()


def test_a_container_of_the_version_before_keeps_its_name_until_a_restart_is_due(pair):
    server = pair.servers["gpu-02"]
    env = server.root / "env"
    text = env.read_text()
    # As the version before called the project of every host.
    env.write_text(f"{text}COMPOSE_PROJECT_NAME=tritonops\n")
    pair.serve(alpha=6)
    pair.clone.inv("remote.run", "--host", "gpu-02", "--", "compose.down", "--cpu")
    pair.deploy("gpu-02")
    env.write_text(text)
    make_earlier(server.root)
    before = serving(pair, "gpu-02")
    assert before.endswith("/tritonops-triton-1")
    pair.serve(alpha=7)
    with pair.inferring("alpha", "gpu-02") as observed:
        assert pair.deploy("gpu-02").restarted == ()
    assert not observed.failures
    assert serving(pair, "gpu-02") == before
    assert "Started GRPCInferenceService" in pair.clone.inv("remote.logs", "--host", "gpu-02", "--lines", "1000").stdout
    env.write_text(f"{text}TRITON_SHM_SIZE=512m\n")
    assert pair.deploy("gpu-02").restarted == ("TRITON_SHM_SIZE",)
    assert serving(pair, "gpu-02").endswith(f"/{compose_project(server.root)}-triton-1")
    assert not docker("ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project=tritonops").split()
    assert pair.answers("gpu-02") == {"alpha": 7}
    env.write_text(text)
    pair.deploy("gpu-02")


def test_the_script_of_a_release_and_the_activation_name_the_project_alike(pair):
    for server in pair.servers.values():
        layout = Layout(server.root)
        release = layout.current
        assert release
        inv = release.inv.read_text().replace('exec "$root/releases/$release/project/inv"', "exec printenv")
        script = server.home / "script"
        script.write_text(inv)
        name = subprocess.check_output(["sh", str(script), "COMPOSE_PROJECT_NAME"], text=True).strip()
        assert name == compose_project(server.root)
        assert Runtime(layout, release)._service().definition.project == name
    assert len({compose_project(server.root) for server in pair.servers.values()}) == 2


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_two_users_of_one_folder_have_projects_of_their_own(pair):
    script = inv_wrapper("/tmp", ReleaseRecord("one", "abc", "subject", "f", "me", "now"))
    script = script.replace('exec "$root/releases/$release/project/inv"', "exec printenv")
    names = [
        subprocess.run(
            ["sh", "-s", "COMPOSE_PROJECT_NAME"], input=script, user=user, check=True, capture_output=True, text=True
        ).stdout.strip()
        for user in (0, 12345)
    ]
    assert names[0] == compose_project(Path("/tmp"))
    assert names[0].startswith("tritonops-root-")
    assert names[1].startswith("tritonops-12345-")


def test_a_rollback_of_a_new_image_serves_with_the_old_one_again(pair):
    pair.serve(alpha=8)
    pair.deploy("gpu-01")
    env = pair.servers["gpu-01"].root / "env"
    text = env.read_text()
    docker("tag", CPU_IMAGE, "localhost/tritonops-test-tag:other")
    try:
        env.write_text(text.replace(CPU_IMAGE, "localhost/tritonops-test-tag:other"))
        assert pair.deploy("gpu-01").restarted == (f"image: {CPU_IMAGE} → localhost/tritonops-test-tag:other",)
        roll_back(pair)
        assert CPU_IMAGE in docker("inspect", "--format", "{{.Config.Image}}", serving(pair, "gpu-01").split()[0])
        assert pair.answers("gpu-01") == {"alpha": 8}
    finally:
        env.write_text(text)
        docker("image", "rm", "localhost/tritonops-test-tag:other")
    pair.deploy("gpu-01")


def test_a_root_with_the_ports_of_another_one_is_refused_and_takes_nothing_out_of_service(pair):
    pair.serve(alpha=9)
    pair.deploy("gpu-01")
    env, ports = pair.servers["gpu-02"].root / "env", pair.servers["gpu-01"].root / "env"
    text = env.read_text()
    pair.clone.inv("remote.run", "--host", "gpu-02", "--", "compose.down", "--cpu")
    env.write_text(ports.read_text())
    pair.serve(beta=9)
    try:
        with pair.inferring("alpha", "gpu-01") as observed, pytest.raises(DeployError):
            pair.deploy("gpu-02")
    finally:
        env.write_text(text)
        pair.clone.models.pop("beta")
        pair.clone.write_catalog()
        pair.clone.commit("without beta")
    assert not observed.failures
    assert pair.answers("gpu-01") == {"alpha": 9}
    pair.deploy("gpu-02")
