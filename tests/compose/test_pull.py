"""Images: found by every name that they have, pulled where they are missing, and a registry's own words."""

import json
import time

import pytest

from tests.compose import registry
from tests.compose.projects import docker, remove_project
from tests.paths import PROJECT
from tritonops.compose import service
from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.compose.engine.docker import Docker
from tritonops.compose.engine.image import inspect_image
from tritonops.errors import ImagePullError, InputError

pytestmark = pytest.mark.docker


def test_an_image_is_found_by_each_of_its_names():
    here = Docker(PROJECT)
    found = inspect_image(here, CPU_IMAGE)
    assert found
    names = [f"docker.io/{CPU_IMAGE}", f"{CPU_IMAGE}:latest", found["Id"], found["Id"].removeprefix("sha256:")[:12]]
    for name in names:
        assert (inspect_image(here, name) or {}).get("Id") == found["Id"], name
    assert inspect_image(here, f"{CPU_IMAGE}:of-another-tag") is None


def test_a_name_that_no_image_can_have_is_wrong_input():
    with pytest.raises(InputError, match="invalid reference format"):
        inspect_image(Docker(PROJECT), "Not An Image")


def test_a_pull_is_announced_and_shown_and_the_image_is_found_by_tag_and_digest(project):
    with registry.serving() as images:
        name = f"{images.address}/triton:1@{images.digest}"
        service.pull(project.service(TRITON_IMAGE=name), watch=project.lines.append)
        assert project.lines[0] == f"pulling the image {name}"
        assert any("Pull" in line for line in project.lines[1:])
        try:
            found = inspect_image(Docker(PROJECT), name)
            assert found
            assert inspect_image(Docker(PROJECT), f"{images.address}/triton@{images.digest}") == found
        finally:
            docker("image", "rm", f"{images.address}/triton@{images.digest}")


FAILURES = {
    "401": ((401, "UNAUTHORIZED"), "no basic auth credentials|unauthorized"),
    "403": ((403, "DENIED"), "denied"),
    "429": ((429, "TOOMANYREQUESTS"), "toomanyrequests"),
    "404": ((404, "MANIFEST_UNKNOWN"), "manifest unknown|not found"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_what_a_registry_says_is_passed_on(project, case):
    failure, words = FAILURES[case]
    with registry.serving(failure) as images, pytest.raises(ImagePullError, match=f"(?i){words}"):
        project.up(TRITON_IMAGE=f"{images.address}/triton:1")
    assert project.lines[-1] == "serving now: nothing"


def test_a_registry_that_does_not_answer_is_given_the_timeout(project):
    with registry.serving("hang") as images:
        chosen = project.service(TRITON_IMAGE=f"{images.address}/triton:1")
        begun = time.monotonic()
        with pytest.raises(ImagePullError, match=r"did not deliver it within 1\.5 s"):
            service.up(chosen, watch=project.lines.append, timeout=1.5)
        assert time.monotonic() - begun < 15


def test_an_image_that_has_no_name_in_the_files_is_asked_as_any_before_a_restart(project, tmp_path):
    server = ["tritonserver", "--model-repository=/models", "--model-control-mode=explicit", "--load-model=*"]
    dockerfile = tmp_path / "image" / "Dockerfile"
    dockerfile.parent.mkdir()
    dockerfile.write_text(f"FROM {CPU_IMAGE}\nCMD {json.dumps(server)}\n")
    extra = tmp_path / "build.yml"
    reset = "    image: !reset null\n    command: !reset null\n"
    extra.write_text(f"services:\n  triton:\n{reset}    build: {dockerfile.parent}\n")
    try:
        project.up(extra)
        first = project.container()["Id"]
        project.up(extra, recreate=True)
        assert project.container()["Id"] != first
        assert project.serving() == {"first"}
    finally:
        remove_project(project.name)
        docker("image", "rm", "--force", f"{project.name}-triton", check=False)


def test_an_image_that_the_files_build_is_built_and_built_again_when_asked(project, tmp_path):
    dockerfile = tmp_path / "image" / "Dockerfile"
    dockerfile.parent.mkdir()
    dockerfile.write_text(f"FROM {CPU_IMAGE}\nLABEL made=first\n")
    extra = tmp_path / "build.yml"
    tag = f"localhost/{project.name}"
    extra.write_text(f"services:\n  triton:\n    image: {tag}\n    build: {dockerfile.parent}\n")
    chosen = project.service(extra)
    try:
        service.up(chosen, watch=project.lines.append, timeout=60)
        assert project.container()["Config"]["Labels"]["made"] == "first"
        dockerfile.write_text(f"FROM {CPU_IMAGE}\nLABEL made=second\n")
        service.up(chosen, watch=project.lines.append, timeout=60)
        assert project.container()["Config"]["Labels"]["made"] == "first"
        service.up(chosen, watch=project.lines.append, timeout=60, build=True)
        assert project.container()["Config"]["Labels"]["made"] == "second"
        assert project.serving() == {"first"}
    finally:
        remove_project(project.name)
        docker("image", "rm", "--force", tag, check=False)
