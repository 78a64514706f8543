"""The init container's program: from the files of a release to models in a volume."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.server import GOOD_TOKEN
from tests.kubernetes.pods import Pod
from tests.kubernetes.projects import DIGEST, load, target, write_project
from tests.paths import PROJECT
from tritonops.kubernetes.manifests.versions import parse_version
from tritonops.kubernetes.render import render
from tritonops.models.lock import lock_models


def pod_of(project, folder, **options):
    """A pod with the files of its release."""
    pod = Pod(folder, render(project, target(**options), parse_version("1.34")))
    pod.mount()
    return pod


@pytest.fixture
def pod(tmp_path):
    return pod_of(write_project(tmp_path / "checkout"), tmp_path)


def files_of(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_models_are_links_to_verified_files_with_the_bytes_of_the_checkout(pod, capfd):
    assert pod.prepare() == 0
    found = files_of(pod.models_dir)
    assert {*found} == {
        *("alpha/1/model.onnx", "alpha/config.pbtxt", "beta/1/model.onnx", "beta/2/model.onnx", "beta/config.pbtxt")
    }
    checkout = files_of(pod.folder / "checkout" / "sources")
    assert found["beta/2/model.onnx"] == checkout["beta-2.onnx"]
    blob = pod.volume / ".store" / found["beta/2/model.onnx"]
    assert blob.samefile(pod.models_dir / "beta/2/model.onnx")
    assert "specific: { versions: [ 1, 2 ] }" in (pod.models_dir / "beta/config.pbtxt").read_text()
    out, _ = capfd.readouterr()
    assert out.splitlines()[-1] == f"complete: {pod.models_dir}"


def test_a_second_pod_and_another_release_of_one_volume_fetch_nothing(pod, tmp_path, capfd):
    assert pod.prepare() == 0
    inodes = {path: path.stat().st_ino for path in pod.models_dir.rglob("*")}
    assert pod.prepare() == 0
    assert {path: path.stat().st_ino for path in pod.models_dir.rglob("*")} == inodes
    other = pod_of(load(pod.folder / "checkout"), tmp_path, image=f"nvcr.io/nvidia/tritonserver:26.06-py3@{DIGEST}")
    assert other.prepare() == 0
    assert other.models_dir != pod.models_dir
    assert (other.models_dir / "alpha/1/model.onnx").samefile(pod.models_dir / "alpha/1/model.onnx")
    assert "0 bytes fetched" in capfd.readouterr()[0]


def test_a_damaged_model_of_an_earlier_start_is_replaced(pod):
    assert pod.prepare() == 0
    path = pod.models_dir / "alpha/1/model.onnx"
    before = path.read_bytes()
    path.unlink()
    path.write_bytes(b"damaged")
    assert pod.prepare() == 0
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        (lambda release: (release / "models.lock").write_text(""), 4, "alpha/1: is not locked"),
        (
            lambda release: (release / "sources/alpha/1/model.onnx").write_bytes(b"other"),
            4,
            "alpha/1: /.* changed since it was locked",
        ),
        (lambda release: (release / "triton-config/alpha/gpu.pbtxt").unlink(), 1, "alpha: there is no"),
        (
            lambda release: (release / "triton-config/alpha/gpu.pbtxt").write_text('backend: "onnxruntim"'),
            1,
            "Triton would refuse these models, or serve them wrong",
        ),
        (lambda release: (release / "models.toml").write_text("[["), 2, "not valid TOML"),
    ],
    ids=["no lock", "another source", "no config", "a config that Triton refuses", "no models.toml"],
)
def test_what_is_wrong_is_the_last_thing_in_the_log(pod, capfd, change, code, reason):
    change(pod.folder / "release")
    assert pod.prepare() == code
    _, err = capfd.readouterr()
    assert err.startswith("error: ")
    assert re.search(reason, err), err


def test_configs_are_checked_for_the_image_and_the_gpus_of_the_pod(tmp_path, capfd):
    project = write_project(tmp_path / "checkout")
    config = tmp_path / "checkout/triton-config/alpha/gpu.pbtxt"
    config.write_text(config.read_text().replace("KIND_CPU", "KIND_GPU gpus: [ 3 ]"))
    pod = pod_of(project, tmp_path)
    assert pod.prepare() == 1
    assert "alpha: " in capfd.readouterr()[1]


def test_a_model_of_the_hub_is_fetched_with_the_token_of_the_environment(tmp_path, hub, monkeypatch, capfd):
    checkout = tmp_path / "checkout"
    write_project(checkout, {"alpha": (1,)})
    hub.push("team/alpha", {"model.onnx": checkout / "sources/alpha-1.onnx"}, access="gated")
    (checkout / "models.toml").write_text(
        '[[models.alpha]]\nrepo_id = "team/alpha"\nmodel_path = "model.onnx"\ntriton_version = 1\n'
    )
    environ = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": GOOD_TOKEN}
    lock_models(load(checkout, **environ))
    pod = pod_of(load(checkout), tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    assert pod.prepare() == 1
    assert "HF_TOKEN" in capfd.readouterr()[1]
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    assert pod.prepare() == 0
    expected = hashlib.sha256((checkout / "sources/alpha-1.onnx").read_bytes()).hexdigest()
    assert files_of(pod.models_dir)["alpha/1/model.onnx"] == expected


def test_two_pods_of_one_node_prepare_at_once(pod):
    command = [sys.executable, "-m", "tritonops.kubernetes.prepare", *pod.prepare_command()]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    running = [
        subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=100)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    assert len(files_of(pod.models_dir)) == 5


def test_a_release_whose_folder_nobody_may_write_to_is_prepared_too(pod):
    """ConfigMaps are mounted read-only, and as links of links."""
    release = pod.folder / "release"
    hidden = release.with_name("..data")
    release.rename(hidden)
    release.mkdir()
    for path in hidden.iterdir():
        (release / path.name).symlink_to(Path("..", "..data", path.name))
    hidden.chmod(0o555)
    release.chmod(0o555)
    try:
        assert pod.prepare() == 0
    finally:
        hidden.chmod(0o755)
        release.chmod(0o755)
