"""Real containers for these tests: skipped where no Docker engine answers, failed where CI is set."""

from __future__ import annotations

import functools
import os

import pytest

from tests import programs
from tests.compose.projects import ComposeProject, remove_project
from tests.compose.stub_docker import stub  # noqa: F401 (a fixture)
from tests.paths import PROJECT
from tritonops.compose.build_cpu import CPU_IMAGE, SOURCE_LABEL, ImageSource
from tritonops.compose.engine.docker import Docker
from tritonops.compose.engine.image import inspect_image
from tritonops.errors import DockerMissingError, EngineUnreachableError, TritonOpsError
from tritonops.testing.fixtures import triton_container, triton_options  # noqa: F401 (fixtures)

# The container that would remove ours after a crash cannot be pulled everywhere; ours go with their tests.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")


@pytest.fixture
def project(request, tmp_path):
    """A Compose project of this test's own, not up; its models are the MODELS of the test's file."""
    made = ComposeProject.at(tmp_path, *_models(request))
    yield made
    remove_project(made.name)


@pytest.fixture(scope="module")
def running(request, tmp_path_factory):
    """A Compose project that serves the MODELS of the test's file. Each test leaves it serving."""
    made = ComposeProject.at(tmp_path_factory.mktemp("running"), *_models(request))
    try:
        made.up()
        yield made
    finally:
        remove_project(made.name)


def _models(request):
    return sorted(getattr(request.module, "MODELS", {"first"}))


def pytest_runtest_setup(item):
    if item.get_closest_marker("docker") is None:
        return
    item.user_properties.append(("docker", True))
    if missing := _missing():
        programs.unavailable(missing)


@functools.cache
def _missing() -> str | None:
    """What a container test lacks here; None where it has all."""
    docker = Docker(PROJECT)
    try:
        docker.output(["docker", "version"])
        docker.require_compose()
        image = inspect_image(docker, CPU_IMAGE)
        if image is None:
            return f"there is no image {CPU_IMAGE}: build it with `./inv compose.build-cpu`"
    except (DockerMissingError, EngineUnreachableError):
        return "no Docker engine, `./inv dev.engine` starts one"
    except TritonOpsError as exc:
        return str(exc)
    is_current = (image["Config"].get("Labels") or {}).get(SOURCE_LABEL) == ImageSource.of(PROJECT).digest()
    return None if is_current else f"the image {CPU_IMAGE} is not of these files: `./inv compose.build-cpu` rebuilds it"
