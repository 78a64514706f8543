"""Models that somebody put on a host by hand: they belong to the host, and no release takes them out of service."""

from __future__ import annotations

import json
import os
import shutil
import signal

import pytest

from tests.onnx_models import affine, write_model
from tests.remote.project import Site, activated
from tests.triton.projects import ENSEMBLE
from tritonops.errors import ResultUnknownError, RolledBackError
from tritonops.remote.rollback import roll_back_host
from tritonops.remote.ssh.host import Host
from tritonops.triton.client.client import connect

HOST = ("--host", "gpu-01")
PYTHON_MODEL = """
import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def execute(self, requests):
        tensors = [pb_utils.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", tensor * 7)]) for tensor in tensors]
"""
PYTHON_CONFIG = """
backend: "python"
max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: [3] }
output { name: "y" data_type: TYPE_FP32 dims: [3] }
"""

_scales = iter(range(1000, 2000))


@pytest.fixture
def scale():
    """A number that no model of this module has answered with before."""
    return float(next(_scales))


@pytest.fixture
def host(site, scale):
    """gpu-01 with an ensemble of alpha and a Python model put there by hand; both are gone with the test."""
    site.serve(alpha=scale)
    site.deploy()
    put_ensemble(site, "ensemble", "alpha")
    put_python_model(site, "python")
    load(site, "ensemble", "python")
    yield site
    site.clone.inv("remote.deploy", *HOST, "--prune")
    shutil.rmtree(disabled(site))


def shared(site: Site):
    return site.servers["gpu-01"].root / "shared/triton"


def disabled(site: Site):
    return site.servers["gpu-01"].root / "shared/triton-disabled"


def put_ensemble(site: Site, name: str, step: str) -> None:
    (shared(site) / name / "1").mkdir(parents=True)
    (shared(site) / name / "config.pbtxt").write_text(ENSEMBLE.replace("STEP", step))


def put_python_model(site: Site, name: str) -> None:
    (shared(site) / name / "1").mkdir(parents=True)
    (shared(site) / name / "1/model.py").write_text(PYTHON_MODEL)
    (shared(site) / name / "config.pbtxt").write_text(PYTHON_CONFIG)


def load(site: Site, *names: str) -> None:
    with connect(f"127.0.0.1:{site.servers['gpu-01'].grpc}") as client:
        for name in names:
            client.load(name, timeout=30)


def roll_back(site: Site) -> None:
    with Host("gpu-01", ssh_config=site.fleet.config) as host:
        roll_back_host(host, to=None, on_step=lambda line: None)


def test_they_are_listed_and_are_no_difference(host):
    done = host.clone.inv("remote.plan", *HOST, "--json")
    rows = [(row["what"], row["name"], row["change"]) for row in json.loads(done.stdout)]
    assert rows == [("model", "ensemble", "not in models.toml"), ("model", "python", "not in models.toml")]
    done = host.clone.inv("remote.deploy", *HOST)
    assert "nothing to do" in done.stdout
    assert "warning: not in models.toml: ensemble, python" in done.stderr


def test_a_deploy_and_a_rollback_leave_them_in_service_without_a_failed_request(host, scale):
    host.serve(alpha=scale + 0.5)
    with host.inferring("ensemble") as ensemble, host.inferring("python") as python:
        (row,) = json.loads(host.clone.inv("remote.deploy", *HOST, "--json").stdout)
        assert (row["result"], row["changed"]) == ("deployed", ["alpha"])
        assert (row["not_in_models_toml"], row["pruned"]) == (["ensemble", "python"], [])
        assert host.answers()["ensemble"] == scale + 0.5
        put_python_model(host, "late")
        load(host, "late")
        roll_back(host)
    assert not ensemble.failures + python.failures
    assert (ensemble.answers, python.answers) == ({scale, scale + 0.5}, {7.0})
    answers = host.answers()
    assert (answers["ensemble"], answers["python"], answers["late"]) == (scale, 7, 7)


def test_a_restart_of_triton_serves_them_again(host):
    host.clone.inv("remote.env", *HOST, stdin="TRITON_TOKEN=hush\n")
    host.clone.inv("remote.deploy", *HOST)
    host.clone.inv("remote.env", *HOST, stdin="TRITON_TOKEN=\n")
    host.clone.inv("remote.deploy", *HOST)
    assert (host.answers()["ensemble"], host.answers()["python"]) == (host.answers()["alpha"], 7)


def test_pruning_takes_them_out_of_service_keeps_their_files_and_lists_them(host, scale):
    before = {name: (shared(host) / name / "config.pbtxt").read_text() for name in ("ensemble", "python")}
    done = host.clone.inv("remote.plan", *HOST, "--prune", "--json", check=False)
    assert done.returncode == 4
    assert {row["name"]: row["change"] for row in json.loads(done.stdout)} == dict.fromkeys(
        before, "not in models.toml: out of service, to shared/triton-disabled"
    )
    (row,) = json.loads(host.clone.inv("remote.deploy", *HOST, "--prune", "--json").stdout)
    assert (row["result"], row["not_in_models_toml"], row["pruned"]) == ("deployed", [], ["ensemble", "python"])
    assert host.answers().keys().isdisjoint(before)
    assert {name: (disabled(host) / name / "config.pbtxt").read_text() for name in before} == before
    assert not [name for name in before if (shared(host) / name).exists()]
    assert host.clone.inv("remote.plan", *HOST).stderr.endswith("nothing to do\n")
    assert "nothing to do" in host.clone.inv("remote.deploy", *HOST, "--prune").stdout
    host.serve(alpha=scale + 0.5)
    host.deploy()
    roll_back(host)
    assert {name: (disabled(host) / name / "config.pbtxt").read_text() for name in before} == before
    assert host.answers().keys().isdisjoint(before)


def test_a_model_of_the_release_that_was_disabled_stays_so_and_each_command_says_it(host, scale):
    host.clone.inv("remote.run", *HOST, "--", "models.disable", "beta", "--yes")
    host.clone.inv("triton.unload", "beta", *HOST, "--yes")
    warning = "warning: disabled on this host, so not served: beta"
    assert warning in host.clone.inv("remote.deploy", *HOST).stderr
    done = host.clone.inv("remote.deploy", *HOST)
    assert "nothing to do" in done.stdout
    assert warning in done.stderr
    (row,) = json.loads(host.clone.inv("remote.deploy", *HOST, "--json").stdout)
    assert row["disabled"] == ["beta"]
    assert "beta" not in host.answers()
    planned = json.loads(host.clone.inv("remote.plan", *HOST, "--json").stdout)
    assert {"name": "beta", "change": "disabled on this host, so not served"}.items() <= planned[-1].items()
    (row,) = json.loads(host.clone.inv("remote.status", *HOST, "--json").stdout)
    assert row["triton"] == "up, disabled: beta"
    host.clone.inv("remote.run", *HOST, "--", "models.enable", "beta")
    done = host.clone.inv("remote.deploy", *HOST)
    assert warning not in done.stderr
    assert host.answers()["beta"]


def test_a_step_of_one_that_is_pruned_with_it_goes_behind_it(host):
    put_python_model(host, "a_step")
    put_ensemble(host, "of_a_step", "a_step")
    load(host, "a_step", "of_a_step")
    (row,) = json.loads(host.clone.inv("remote.deploy", *HOST, "--prune", "--json").stdout)
    assert row["pruned"] == ["a_step", "ensemble", "of_a_step", "python"]
    assert set(host.answers()) == {"alpha", "beta"}


def test_one_that_does_not_load_is_a_warning_and_stops_no_deploy(host, scale):
    put_python_model(host, "torn")
    (shared(host) / "torn/1/model.py").write_text("no python\n")
    host.serve(alpha=scale + 0.5)
    done = host.clone.inv("remote.deploy", *HOST)
    assert "warning: torn, which is not in models.toml, is not served" in done.stderr
    assert host.answers()["alpha"] == host.answers()["ensemble"] == scale + 0.5
    assert (shared(host) / "torn").is_dir()


def test_one_that_could_no_longer_be_served_fails_the_deploy_which_is_rolled_back(host, scale):
    model = host.clone.models.pop("alpha")
    host.clone.write_catalog()
    host.clone.commit("without alpha")
    with pytest.raises(RolledBackError, match="alpha: it is a step of ensemble"):
        host.deploy()
    assert host.answers()["ensemble"] == host.answers()["alpha"] == scale
    host.clone.models["alpha"] = model
    host.clone.write_catalog()
    host.clone.commit("with alpha")


def test_a_prune_that_fails_leaves_them_in_service(host, scale):
    host.serve(alpha=scale + 0.5)
    layout, name = host.stage()
    before = host.answers()

    def interrupt(line: str) -> None:
        if line == "unload ensemble":
            os.kill(os.getpid(), signal.SIGTERM)

    assert activated(layout, name, interrupt, prune_models=True).result == "rolled back"
    assert host.answers() == before


def test_those_put_there_after_a_switch_that_was_killed_are_kept_too(host, scale):
    host.serve(alpha=scale + 0.5, new=scale)
    lines: list[str] = []

    def kill(line: str) -> None:
        if line == "load alpha":
            os.kill(json.loads((host.servers["gpu-01"].root / "lock").read_text())["pid"], signal.SIGKILL)

    with pytest.raises(ResultUnknownError):
        host.deploy(on_step=kill)
    put_python_model(host, "late")
    host.clone.models.pop("new")
    host.clone.write_catalog()
    host.clone.commit("without new")
    host.deploy(on_step=lines.append)
    answers = host.answers()
    assert any("was interrupted: go back" in line for line in lines)
    assert (answers["alpha"], answers["late"], answers["python"]) == (scale + 0.5, 7, 7)
    assert "new" not in answers


def test_a_link_to_a_model_elsewhere_stays_a_link(host, scale, tmp_path):
    write_model(tmp_path, "linked", {1: affine(5)})
    (shared(host) / "linked").symlink_to(tmp_path / "linked")
    load(host, "linked")
    host.serve(alpha=scale + 0.5)
    host.deploy()
    assert (shared(host) / "linked").is_symlink()
    assert host.answers()["linked"] == 5


def test_what_was_there_before_the_first_deploy_is_kept(tmp_path):
    with Site.at(tmp_path, "gpu-01") as site:
        site.serve(alpha=3)
        put_python_model(site, "python")
        assert site.deploy().by_hand == ("python",)
        assert site.answers() == {"alpha": 3, "python": 7}


def test_one_that_models_toml_has_from_now_on_is_of_the_release(host, scale):
    host.serve(python=scale)
    host.deploy()
    assert host.answers()["python"] == scale
    assert [row["name"] for row in json.loads(host.clone.inv("remote.plan", *HOST, "--json").stdout)] == ["ensemble"]
    host.clone.models.pop("python")
    host.clone.write_catalog()
    host.clone.commit("without python")
    host.deploy()
    assert "python" not in host.answers()


def test_a_rollback_serves_the_one_whose_name_the_next_release_took(host, scale):
    host.serve(alpha=scale + 0.25)  # this release keeps python as its own neighbour
    host.deploy()
    host.serve(python=scale)
    host.deploy()
    assert host.answers()["python"] == scale
    roll_back(host)
    assert host.answers()["python"] == 7
    host.clone.models.pop("python")
    host.clone.write_catalog()
    host.clone.commit("without python")
