"""The init container's image, and a pod's two containers as they are rendered, on a Docker engine."""

import os
import subprocess
import time

import pytest

from tests.kubernetes.images import SOURCE, init_image
from tests.kubernetes.pods import Pod
from tests.kubernetes.projects import target, write_project
from tests.paths import PROJECT
from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.compose.engine.docker import Docker
from tritonops.compose.engine.python_base import default_base
from tritonops.errors import TritonOpsError
from tritonops.kubernetes.build import build
from tritonops.kubernetes.manifests.versions import parse_version
from tritonops.kubernetes.render import render

RIGHTS = [
    "--network=none",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--tmpfs=/tmp:mode=1777",
]


def docker(*words, check=True):
    """Run a docker command."""
    done = subprocess.run(["docker", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def image():
    """The image, on the base that these tests have."""
    return init_image()


@pytest.fixture
def pod(image, tmp_path):
    """A pod of local images; its volume belongs to the user of the containers."""
    options = {"gpus": 0, "image": CPU_IMAGE, "init_image": image}
    pod = Pod(tmp_path, render(write_project(tmp_path / "checkout"), target(**options), parse_version("1.33")))
    pod.mount()
    pod.volume.mkdir()
    pod.volume.chmod(0o777)
    return pod


def container(pod, kind):
    """The options of `docker run` for a container, and its image with the rendered command."""
    (found,) = pod.spec[kind]
    context = pod.spec["securityContext"]
    places = {
        "/release": pod.folder / "release",
        "/volume": pod.volume,
        "/models": pod.models_dir,
        "/etc/tritonops": pod.folder / "scripts",
    }
    mounts = [each for each in found["volumeMounts"] if each["mountPath"] in places]
    volumes = [
        f"--volume={places[each['mountPath']]}:{each['mountPath']}{':ro' if each.get('readOnly') else ''}"
        for each in mounts
    ]
    variables = [f"--env={each['name']}={each['value']}" for each in found["env"]]
    user = f"--user={context['runAsUser']}:{context['runAsGroup']}"
    return [*RIGHTS, user, *volumes, *variables, found["image"], *found.get("command", []), *found.get("args", [])]


def test_the_default_base_is_a_public_slim_python():
    assert default_base(SOURCE.dockerfile).startswith("python:3.12-slim")


@pytest.mark.docker
def test_a_base_without_python_is_refused_before_anything_is_fetched():
    with pytest.raises(TritonOpsError, match="localhost/no-such-base"):
        build(Docker(PROJECT), SOURCE, uv="uv-is-not-asked", watch=print, base_image="localhost/no-such-base")


@pytest.mark.docker
@pytest.mark.slow
def test_a_pod_without_a_network_prepares_its_release_serves_it_and_ends(pod):
    prepared = docker("run", "--rm", *container(pod, "initContainers"))
    assert prepared.stdout.splitlines()[-1] == f"complete: /volume/{pod.models_dir.relative_to(pod.volume)}"
    assert (pod.models_dir / "alpha/1/model.onnx").stat().st_uid == 1000
    name = f"tritonops-tests-{os.getpid()}-triton"
    try:
        docker("run", "--detach", f"--name={name}", *container(pod, "containers"))
        probe = pod.spec["containers"][0]["startupProbe"]["exec"]["command"]
        end = time.monotonic() + 60
        while docker("exec", name, *probe, check=False).returncode:
            assert time.monotonic() < end, docker("logs", name).stderr
            time.sleep(0.1)
        assert docker("exec", name, "cat", "/proc/1/comm").stdout == "tritonserver\n"
        program, _ = pod.spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        docker("exec", name, program, "0")
        docker("stop", "--time=30", name)
        assert docker("inspect", "--format={{.State.ExitCode}}", name).stdout == "0\n"
    finally:
        docker("rm", "--force", name)


@pytest.mark.docker
@pytest.mark.slow
def test_the_reason_of_a_failure_is_at_the_end_of_the_log(pod):
    config = pod.folder / "release/triton-config/alpha/cpu.pbtxt"
    config.write_text(config.read_text().replace("TYPE_FP32", "TYPE_FP64"))
    failed = docker("run", "--rm", *container(pod, "initContainers"), check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: Triton would refuse these models, or serve them wrong:\n  alpha: ")
