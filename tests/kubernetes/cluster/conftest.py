"""A real cluster for these tests: skipped with the reason where there is none, failed where CI is set."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator

import pytest

from tasks.shared import checkout
from tests import programs
from tests.compose.conftest import _missing as missing_engine
from tests.kubernetes.cluster import machine
from tests.kubernetes.cluster.team import Team
from tests.kubernetes.images import init_image


def pytest_collection_modifyitems(config, items):
    """Leave out what takes long, and passed before, unless ONCE is set."""
    left_out = [item for item in items if item.get_closest_marker("once") and not os.environ.get("ONCE")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def cluster():
    """The cluster of this machine, in the environment of kubectl."""
    if reason := _missing():
        programs.unavailable(reason)
    machine.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(machine.ADMIN))
        yield


@pytest.fixture
def cli(team, inv, monkeypatch):
    """Run a command line in the checkout of the team, whose kubernetes.toml has the targets that are given first."""
    monkeypatch.setattr(checkout, "PROJECT", team.folder)
    monkeypatch.setenv("HF_ENDPOINT", team.hub.endpoint)
    monkeypatch.chdir(team.folder)

    def run(*words):
        checkout.project.cache_clear()
        return inv(*words)

    yield run
    checkout.project.cache_clear()


@pytest.fixture
def kubectl_calls(tmp_path, monkeypatch):
    """List the kubectl commands of a test: a script that notes each stands before the real one."""
    program, log = shutil.which("kubectl"), tmp_path / "calls"
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "kubectl"
    script.write_text(f'#!/bin/sh\necho "$*" >>{log}\nexec {program} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return lambda: log.read_text().splitlines() if log.exists() else []


@functools.cache
def _missing() -> str | None:
    return machine.missing() or missing_engine()


@pytest.fixture(scope="module")
def team(request, cluster, tmp_path_factory) -> Iterator[Team]:
    """A namespace for the tests of a file, with a Hub that has its MODELS, and a checkout."""
    name = f"{request.module.__name__.rpartition('.')[2].removeprefix('test_').replace('_', '-')}-{os.getpid()}"
    options = {"model": request.module.MODEL} if hasattr(request.module, "MODEL") else {}
    made = Team.at(tmp_path_factory.mktemp("team"), name, init_image(), request.module.MODELS, **options)
    yield made
    made.end()
