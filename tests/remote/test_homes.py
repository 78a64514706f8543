"""Homes and filesystems that servers have: what serves there, and what is refused before anything is sent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.remote.project import Site
from tritonops.errors import DeployError

# Seen on Debian 13: "Unable to cast Python instance" ends the stub below a path that is not ASCII.
NOT_ON_3_13 = pytest.mark.xfail(sys.version_info >= (3, 13), reason="the Python backend's stub for 3.13", strict=False)


@pytest.mark.slow
@pytest.mark.parametrize("home", ["a home", pytest.param("hömé 日本", marks=NOT_ON_3_13), "it's $HOME; `id` & (more)"])
def test_a_deploy_serves_from_a_home_with_any_characters_but_a_colon(tmp_path, home):
    with Site.at(tmp_path, "gpu-01", home=home) as site:
        site.serve(alpha=3)
        site.deploy()
        assert site.answers() == {"alpha": 3.0}
        shown = site.clone.inv("remote.run", "--host", "gpu-01", "--", "triton.list", "--json").stdout
        assert '"alpha"' in shown


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    if os.getuid():
        pytest.skip("only root can mount a small disk")
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize(
    ("options", "check", "problem"),
    [
        ("size=3g,noexec", "execution", "mounted noexec"),
        ("size=3g,nr_inodes=1k", "inodes", "no room for more files"),
        ("size=50m", "disk", "the disk is full"),
    ],
    ids=["noexec", "few inodes", "a small disk"],
)
def test_a_filesystem_that_cannot_serve_is_named_by_the_deploy_and_by_doctor(tmp_path, options, check, problem):
    with mounted(tmp_path / "gpu-01/home/tritonops", options), Site.at(tmp_path, "gpu-01") as site:
        site.serve(alpha=1)
        with pytest.raises(DeployError, match=problem):
            site.deploy()
        assert not [*(site.servers["gpu-01"].root / "releases").glob("*/project/*")]
        found = site.clone.inv("remote.doctor", "--host", "gpu-01", "--json", check=False)
        assert f'"check": "{check}",\n    "state": "problem"' in found.stdout


def test_a_home_with_a_colon_is_refused_with_the_reason(tmp_path):
    with Site.at(tmp_path, "gpu-01", home="a:b") as site:
        site.serve(alpha=1)
        with pytest.raises(DeployError, match="has a colon"):
            site.deploy()
