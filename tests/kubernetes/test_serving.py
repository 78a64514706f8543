"""A real Triton as it is rendered: the probe that tells the truth where /v2/health/ready does not."""

import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.kubernetes.pods import Pod
from tests.kubernetes.projects import target, write_project
from tritonops.errors import TritonError
from tritonops.kubernetes.manifests.versions import parse_version
from tritonops.kubernetes.render import render
from tritonops.server.installation import find_installation
from tritonops.server.ports import free_ports
from tritonops.triton.client.client import connect
from tritonops.triton.infer import infer

pytestmark = pytest.mark.usefixtures("embedded_runtime")


def prepared(folder):
    """A pod whose init container has ended."""
    rendered = render(write_project(folder / "checkout"), target(gpus=0), parse_version("1.34"))
    pod = Pod(folder, rendered)
    pod.mount()
    assert pod.prepare() == 0
    return pod


def wait_for(condition, *, timeout=60):
    """Ask again and again."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def status(ports, path):
    """The HTTP status that Triton answers with; 0 without an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{ports.http}/v2/{path}", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as exc:
        return exc.code
    except OSError:
        return 0


@pytest.fixture(scope="module")
def good(tmp_path_factory, embedded_runtime):
    pod = prepared(tmp_path_factory.mktemp("good"))
    with pod.triton(find_installation(), token="secret\n") as ports:  # as in a Secret made from a file
        assert pod.started(ports).returncode == 1  # at once: it does not listen yet, or is loading
        wait_for(lambda: pod.started(ports).returncode == 0)
        yield pod, ports


def test_a_release_has_started_once_every_version_is_ready_and_then_it_answers(good):
    pod, ports = good
    assert status(ports, "health/ready") == 200
    with connect(f"127.0.0.1:{ports.grpc}") as client:
        for name, version in pod.rendered.release.expected:
            result = infer(client, name, version=version)
            assert result.responses


def test_no_client_changes_what_a_pod_serves_nor_reads_its_configs_without_the_token(good):
    _, ports = good
    with connect(f"127.0.0.1:{ports.grpc}", token="secret") as client, pytest.raises(TritonError, match="explicit"):
        client.load("alpha", timeout=10)
    assert status(ports, "models/alpha/config") == 403
    assert status(ports, "systemsharedmemory/status") == 403


def test_a_kept_channel_goes_on_over_several_connections_and_loses_no_request(good):
    """Clients that never close their channel move to other pods this way; the age is 2 seconds."""
    _, ports = good
    seen = set()
    with connect(f"127.0.0.1:{ports.grpc}") as client:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            assert infer(client, "alpha").responses
            seen |= connections_to(ports.grpc)
    assert len(seen) > 1


def connections_to(port):
    """The other ends of the connections to a port of this machine, also of those that gRPC maps to IPv6."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()]
    return {row[1] for row in rows if row[2].endswith(f":{port:04X}") and row[3] == "01"}


@pytest.mark.parametrize(
    ("break_model", "ready"),
    [
        (lambda folder: (folder / "config.pbtxt").write_text("what is this {"), 200),
        (lambda folder: (folder / "1/model.onnx").write_bytes(b"no graph"), 400),
    ],
    ids=["a config that does not parse", "a broken ONNX file"],
)
def test_a_model_that_is_not_served_keeps_the_pod_from_having_started(tmp_path, break_model, ready):
    pod = prepared(tmp_path)
    path = pod.models_dir / "alpha"
    for file in (path / "config.pbtxt", path / "1/model.onnx"):
        content = file.read_bytes()
        file.unlink()  # a link to the store
        file.write_bytes(content)
    break_model(path)
    with pod.triton(find_installation()) as ports:
        wait_for(lambda: status(ports, "models/beta/versions/2/ready") == 200)
        wait_for(lambda: status(ports, "health/ready") == ready)
        probe = pod.started(ports)
    assert (probe.returncode, probe.stdout) == (1, "not ready: models/alpha/versions/1\n")


def test_without_a_server_the_probe_says_so(tmp_path):
    pod = Pod(tmp_path, render(write_project(tmp_path), target(gpus=0), parse_version("1.34")))
    pod.mount()
    probe = pod.started(free_ports())
    assert probe.returncode == 1
    assert "does not answer" in probe.stdout
    assert probe.stderr == ""


def test_shellcheck_has_no_complaint_about_the_rendered_programs(tmp_path):
    pod = Pod(tmp_path, render(write_project(tmp_path), target(), parse_version("1.34")))
    pod.mount()
    shellcheck = Path(__file__).parents[2] / ".venv/bin/shellcheck"
    if not shellcheck.exists():
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        [shellcheck, *sorted((tmp_path / "scripts").iterdir())], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
