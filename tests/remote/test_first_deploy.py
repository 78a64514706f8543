"""A host on which nothing was ever done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compose.machines import rootless_engine
from tests.remote.project import Site
from tritonops.errors import DeployError, RolledBackError
from tritonops.remote.doctor import examine
from tritonops.remote.ssh.host import Host


@pytest.fixture
def fresh(tmp_path, package_index):
    """gpu-01, with no Python environment of its own yet; only the cache of packages is there."""
    uv = [str(Path(sys.prefix, "bin", "uv")), "uv"]
    uv_command = next(command for command in uv if Path(command).exists() or command == "uv")
    cache = subprocess.run([uv_command, "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
    network = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_"))}
    own = {
        **network,
        "TRITONOPS_REQUIREMENTS": "",
        "UV_CACHE_DIR": cache,
        "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", str(Path.home() / ".config")),
        "PATH": f"{os.environ['PATH']}:{sys.prefix}/bin",
    }
    with Site.at(tmp_path, "gpu-01", **own) as site:
        yield site


@pytest.mark.slow
def test_a_host_gets_the_runtime_requirements_alone_and_releases_share_them(fresh):
    fresh.serve(alpha=2)
    fresh.deploy()
    assert fresh.answers() == {"alpha": 2}
    venvs = fresh.servers["gpu-01"].root / "shared/venvs"
    (venv,) = (path for path in venvs.iterdir() if path.is_dir())
    packages = {path.name for path in venv.glob("lib/python3*/site-packages/*")}
    assert {"invoke", "tritonclient", "onnxruntime"} <= packages
    assert packages.isdisjoint({"pytest", "ruff", "mypy", "onnx"})
    made = venv.stat().st_ino
    fresh.serve(alpha=3)
    fresh.deploy()
    assert fresh.answers() == {"alpha": 3}
    assert [path.stat().st_ino for path in venvs.iterdir() if path.is_dir()] == [made]


def test_a_first_deploy_that_fails_leaves_nothing_running_and_the_next_one_succeeds(tmp_path):
    with Site.at(tmp_path, "gpu-01") as site:
        site.serve(alpha=2)
        smoke = site.clone.folder / "triton-config/alpha/smoke.json"
        smoke.write_text('{"outputs": {"y": [[9, 9, 9]]}}')
        site.clone.commit("expects nine")
        with pytest.raises(RolledBackError, match="smoke tests failed"):
            site.deploy()
        root = site.servers["gpu-01"].root
        assert not (root / "current").exists()
        assert not list((root / "shared/triton").iterdir())
        assert not (root / "shared/.server/triton.pid").exists()
        smoke.unlink()
        site.clone.commit("expects nothing")
        site.deploy()
        assert site.answers() == {"alpha": 2}


def test_a_host_that_lacks_something_is_told_so_before_anything_is_sent(tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in (path for folder in ("/bin", "/usr/bin") for path in Path(folder).iterdir()):
        if tool.name not in ("rsync", "docker", "nvidia-smi") and not (tools / tool.name).is_symlink():
            (tools / tool.name).symlink_to(tool)
    with Site.at(tmp_path, "gpu-01", PATH=str(tools)) as site:
        site.serve(alpha=2)
        site.clone.hosts("gpu-01", config="gpu", runtime="compose")
        with pytest.raises(DeployError, match="not ready for a deploy") as caught:
            site.deploy()
        for problem in ("rsync is not installed", "no Docker engine answers", "nvidia-smi lists no GPU"):
            assert problem in str(caught.value)
        assert not list((site.servers["gpu-01"].root / "releases").glob("*/project/*"))


@pytest.mark.docker
def test_a_host_whose_docker_talks_to_another_machine_is_refused_before_anything_is_sent(tmp_path):
    docker = os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
    with Site.at(tmp_path, "gpu-01", DOCKER_CONFIG=docker, DOCKER_HOST="tcp://gpu-02.invalid:2375") as site:
        site.serve(alpha=2)
        site.clone.hosts("gpu-01", runtime="compose")
        with pytest.raises(DeployError, match="docker there talks to the engine of another machine"):
            site.deploy()
        assert not list((site.servers["gpu-01"].root / "releases").glob("*/project/*"))


@pytest.mark.docker
def test_a_host_with_a_rootless_engine_gets_the_advice_for_one(tmp_path):
    docker = os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
    with (
        rootless_engine(tmp_path / "docker.sock") as endpoint,
        Site.at(tmp_path, "gpu-01", DOCKER_CONFIG=docker, DOCKER_HOST=endpoint) as site,
    ):
        site.clone.hosts("gpu-01", config="gpu", runtime="compose")
        with Host("gpu-01", ssh_config=site.fleet.config) as host:
            remedies = {result.check: result.remedy for result in examine(host, site.project)}
    assert "--config=$HOME/.config/docker/daemon.json" in str(remedies["toolkit"])
    assert "loginctl enable-linger" in str(remedies["linger"])
