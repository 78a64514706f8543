"""The preview of a deploy, from the answers of a host."""

import base64
import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.remote import fakes
from tests.remote.client.repository import HERE, Repository
from tests.remote.fakes import DONE, FakeHost, inspection
from tritonops.project import Project
from tritonops.remote import plan as use_case
from tritonops.remote.client.checkout import read_checkout
from tritonops.remote.client.inventory import Inventory
from tritonops.remote.plan import HostChange, plan

MODEL = '[[models.alpha]]\npath = "a.onnx"\ntriton_version = 1\n'
PROJECT: Any = SimpleNamespace(hosts=Inventory({HERE.name: HERE}))


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one model; the host's Triton serves what was recorded."""
    repository = Repository(tmp_path / "checkout")
    repository.write("models.toml", MODEL)
    repository.write("a.onnx", "weights")
    repository.commit("A model")
    monkeypatch.setattr(use_case, "serves_recorded", lambda host, state: True)
    monkeypatch.setattr("tritonops.remote.deploy.serves_recorded", lambda host, state: True)
    return read_checkout(repository.folder)


def listing(checkout):
    return base64.b64encode(checkout.manifest.text).decode()


def test_before_the_first_deploy_everything_is_new(checkout):
    found = plan(FakeHost(inspection(release=None, activation=None)), PROJECT, checkout)
    assert found == [
        HostChange("release", f"{checkout.label} (A model)", "replaces nothing"),
        HostChange("model", "alpha/1", "add"),
    ]


def test_a_host_that_is_up_to_date_has_only_its_models_by_hand(checkout):
    record = replace(fakes.RECORD, fingerprint=checkout.fingerprint(HERE))
    state = inspection("is_listed\tyes", "model\tensemble", release=record)
    (found,) = plan(FakeHost(state), PROJECT, checkout)
    assert (found.name, found.change, found.is_difference) == ("ensemble", "not in models.toml", False)
    (found,) = plan(FakeHost(state), PROJECT, checkout, prune_models=True)
    assert found.is_difference


def test_a_model_that_was_disabled_on_the_host_is_named_and_is_no_difference(checkout):
    record = replace(fakes.RECORD, fingerprint=checkout.fingerprint(HERE))
    listed = ("is_listed\tyes", "listed\talpha", "listed\tbeta", "model\tbeta")
    files, seal = (
        ("shared/triton\tbeta/1/model.onnx 1 2 3 4",),
        hashlib.sha256(b"beta/1/model.onnx 1 2 3 4\n").hexdigest(),
    )
    done = replace(fakes.DONE, disabled=("alpha",), seal=seal[:16])
    state = inspection(*listed, release=record, activation=done, files=files)
    (found,) = plan(FakeHost(state), PROJECT, checkout)
    assert (found.name, found.change, found.is_difference) == ("alpha", "disabled on this host, so not served", False)


def test_a_model_that_was_enabled_on_the_host_since_is_a_difference(checkout):
    record = replace(fakes.RECORD, fingerprint=checkout.fingerprint(HERE))
    done = replace(fakes.DONE, disabled=("alpha",))
    state = inspection("is_listed\tyes", "model\talpha", release=record, activation=done)
    found = plan(FakeHost(state, listing(checkout), ""), PROJECT, checkout)
    assert HostChange("model", "alpha", "was enabled on the host since its deploy") in found


def test_files_and_changes_on_the_host_are_named(checkout):
    changed = listing(checkout).encode()
    text = base64.b64decode(changed).replace(b"./a.onnx", b"./b.onnx")
    interrupted = 'interrupted\t{"from": null, "to": "r9", "changed": []}'
    started = 'started\t{"parts": {"runtime": "embedded"}, "gap": 1.5}'
    state = inspection(interrupted, started, env="A=1\n", files=("shared/triton\talpha/1/model.onnx 1 2 3 4 5",))
    found = plan(FakeHost(state, base64.b64encode(text).decode(), ""), PROJECT, checkout)
    rows = {(change.what, change.name): change.change for change in found}
    assert ("file", "a.onnx") in rows
    assert rows["disk", "shared/triton"] == rows["env", "env"] == "was changed on the host since its deploy"
    assert rows["release", "r9"].startswith("its switch was interrupted")
    assert "1.5 s at its last restart" in rows["restart", "requirements"]
    assert ("restart", "runtime") not in rows


def test_a_triton_that_serves_something_else_is_named(checkout, monkeypatch):
    monkeypatch.setattr(use_case, "serves_recorded", lambda host, state: False)
    found = plan(FakeHost(inspection(activation=DONE), listing(checkout), ""), PROJECT, checkout)
    assert found[-1] == HostChange("server", "Triton", "does not serve what it served after the deploy")


def test_a_current_release_with_a_missing_folder_is_named(checkout):
    state = inspection("current\treleases/r000007-x", release=None, activation=None)
    assert plan(FakeHost(state), PROJECT, checkout)[0].change == "replaces r000007-x, whose folder is missing"


def test_a_model_that_another_command_loaded_is_a_difference(checkout):
    record = replace(fakes.RECORD, fingerprint=checkout.fingerprint(HERE))
    done = replace(DONE, loads={"alpha": {}}, loaded_at="2026-11-30T00:00:00Z", log_end="7:8")
    state = inspection(release=record, activation=done)
    found = plan(FakeHost(state, "alpha\n", listing(checkout), "", "alpha\n"), PROJECT, checkout)
    assert HostChange("server", "alpha", "was loaded by another command since the deploy") in found


def test_where_the_image_changes_the_configs_are_judged_again(checkout, monkeypatch, tmp_path):
    config = tmp_path / "configs" / "alpha"
    config.mkdir(parents=True)
    (config / "gpu.pbtxt").write_text('backend: "tensorflow"\n')
    (tmp_path / "triton" / "alpha" / "1").mkdir(parents=True)  # of this machine: no verdict depends on it
    environ = {"TRITON_CONFIG_DIR": str(tmp_path / "configs"), "TRITON_MODELS_DIR": str(tmp_path / "triton")}
    project: Any = Project.load(checkout.project, environ=environ, cwd=tmp_path)
    here = replace(HERE, runtime="compose", config="gpu")
    project.__dict__["hosts"] = Inventory({here.name: here})
    monkeypatch.setattr(use_case, "changed_files", lambda *of_the_host: [])
    running = json.dumps({"parts": {"runtime": "compose", "image": "nvcr.io/nvidia/tritonserver:25.02-py3"}})
    state = inspection(f"started\t{running}", env="TRITON_IMAGE=nvcr.io/nvidia/tritonserver:26.07-py3\n")
    found = plan(FakeHost(state, ""), project, checkout)
    (verdict,) = [change for change in found if change.what == "check"]
    assert (verdict.name, verdict.is_difference) == ("alpha", True)
    assert "26.07-py3 has no backend 'tensorflow'" in verdict.change
    same = inspection(f"started\t{running}", env="TRITON_IMAGE=nvcr.io/nvidia/tritonserver:25.02-py3\n")
    assert [change for change in plan(FakeHost(same, ""), project, checkout) if change.what == "check"] == []
