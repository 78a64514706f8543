"""A host on which nothing was ever done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.remote.project import Site
from tritonops.errors import DeployError, RolledBackError


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
