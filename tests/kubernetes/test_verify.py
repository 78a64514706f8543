"""Models of an image, verified where they are: what a release declares, and nothing else."""

import io
import json
import re
import shutil
import subprocess
import tarfile

import pytest

from tests.kubernetes.pods import Pod
from tests.kubernetes.projects import MODELS_IMAGE, fill_models_dir, load, target, write_project
from tests.onnx_models import external_weights
from tests.paths import PROJECT
from tritonops.kubernetes.manifests.versions import parse_version
from tritonops.kubernetes.render import render
from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.configs.version_policy import SET_WITH_SERVE, VersionPolicy, set_version_policy
from tritonops.models.lock import lock_models


@pytest.fixture
def checkout(tmp_path):
    """Two models; alpha has labels, and the configs for CPU and GPU differ."""
    folder = tmp_path / "checkout"
    write_project(folder)
    configs = folder / "triton-config"
    labelled = (configs / "alpha/gpu.pbtxt").read_text().replace('name: "y"', 'name: "y" label_filename: "labels.txt"')
    (configs / "alpha/gpu.pbtxt").write_text(labelled)
    (configs / "alpha/labels.txt").write_bytes("zéro\r\n".encode())
    for path in configs.glob("*/cpu.pbtxt"):
        path.write_text(f"{path.read_text()}# for CPU\n")
    return folder


def pod_of(checkout, variant="gpu"):
    """A pod with a copy of the checkout's models directory as its image."""
    pod = Pod(checkout.parent, render(load(checkout), target(models_image=MODELS_IMAGE), parse_version("1.35")))
    pod.mount()
    shutil.copytree(fill_models_dir(checkout, variant), pod.models_dir, symlinks=True)
    return pod


@pytest.fixture
def pod(checkout):
    return pod_of(checkout)


def everything(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def test_models_of_a_checkout_are_verified_and_nothing_is_written(pod, capfd):
    before = everything(pod.folder)
    assert pod.prepare() == 0
    assert everything(pod.folder) == before
    lines = capfd.readouterr()[0].splitlines()
    size = sum(path.stat().st_size for path in pod.models_dir.rglob("*") if path.is_file())
    assert f"6 files verified, {size:,} bytes" in lines
    assert lines[-1] == f"complete: {pod.models_dir}"


def test_local_sources_are_in_the_image_alone(pod, checkout):
    assert not (pod.folder / "release/sources").exists()
    shutil.rmtree(checkout)
    assert pod.prepare() == 0


def test_a_model_of_several_files_is_verified_to_the_last_one(checkout, capfd):
    external_weights([1.0, 2.0, 3.0], checkout / "sources/folder")
    catalog = checkout / "models.toml"
    catalog.write_text(
        catalog.read_text().replace('"sources/alpha-1.onnx"', '"sources/folder"\ntype = "directory"\nlocal_name = "m"')
    )
    config = checkout / "triton-config/alpha/gpu.pbtxt"
    config.write_text(f'{config.read_text()}default_model_filename: "m/model.onnx"\n')
    lock_models(load(checkout))
    pod = pod_of(checkout)
    assert pod.prepare() == 0
    weights = pod.models_dir / "alpha/1/m/model.onnx.data"
    flip_last_byte(weights)
    assert pod.prepare() == 2
    assert "\n  alpha/1/m/model.onnx.data: has other bytes than models.lock says\n" in capfd.readouterr()[1]


def flip_last_byte(path):
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def replace(path, text):
    path.unlink()
    path.write_text(text)


def serve_first_version(path):
    policy = VersionPolicy("specific", versions=(1,))
    replace(path, set_version_policy(path.read_text(), policy, note=SET_WITH_SERVE))
    assert VersionPolicy.of(parse_config(path.read_text())) == policy


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def replace_by_file(path):
    shutil.rmtree(path)
    path.touch()


def link(path):
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


NOT_PINNED = "has other bytes than models.lock says"
SURPLUS = "is not in the release"
DIFFERENCES = {
    "a changed byte": (lambda root: flip_last_byte(root / "alpha/1/model.onnx"), [f"alpha/1/model.onnx: {NOT_PINNED}"]),
    "half a file": (
        lambda root: replace(root / "beta/2/model.onnx", "half"),
        [f"beta/2/model.onnx: {NOT_PINNED}"],
    ),
    "a missing file": (lambda root: (root / "beta/2/model.onnx").unlink(), ["beta/2/model.onnx: is missing"]),
    "a missing config": (lambda root: (root / "beta/config.pbtxt").unlink(), ["beta/config.pbtxt: is missing"]),
    "a missing model": (
        lambda root: shutil.rmtree(root / "alpha"),
        [f"alpha/{name}: is missing" for name in ("1/model.onnx", "config.pbtxt", "labels.txt")],
    ),
    "a surplus model": (lambda root: shutil.copytree(root / "alpha", root / "gamma"), [f"gamma/: {SURPLUS}"]),
    "a surplus version": (lambda root: shutil.copytree(root / "alpha/1", root / "alpha/3"), [f"alpha/3/: {SURPLUS}"]),
    "a surplus file": (lambda root: (root / "beta/1/model.py").touch(), [f"beta/1/model.py: {SURPLUS}"]),
    "an empty folder": (lambda root: (root / "gamma").mkdir(), [f"gamma/: {SURPLUS}"]),
    "a changed config": (
        lambda root: replace(root / "alpha/config.pbtxt", "# edited"),
        ["alpha/config.pbtxt: is not what triton-config/alpha/gpu.pbtxt gives"],
    ),
    "a policy that was set on the machine": (
        lambda root: serve_first_version(root / "beta/config.pbtxt"),
        ["beta/config.pbtxt: is not what triton-config/beta/gpu.pbtxt gives"],
    ),
    "changed labels": (
        lambda root: replace(root / "alpha/labels.txt", "zéro\n"),
        ["alpha/labels.txt: is not what triton-config/alpha/labels.txt gives"],
    ),
    "a link to a file": (
        lambda root: link(root / "alpha/1/model.onnx"),
        ["alpha/1/model.onnx: is a link", f"alpha/1/moved: {SURPLUS}"],
    ),
    "a link to a model": (lambda root: link(root / "beta"), ["beta/: is a link", f"moved/: {SURPLUS}"]),
    "a folder in the place of a file": (
        lambda root: replace_by_folder(root / "alpha/labels.txt"),
        ["alpha/labels.txt: is not a file"],
    ),
    "a file in the place of a model": (
        lambda root: replace_by_file(root / "beta"),
        [
            f"beta: {SURPLUS}",
            *(f"beta/{name}: is missing" for name in ("1/model.onnx", "2/model.onnx", "config.pbtxt")),
        ],
    ),
}


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_each_difference_names_the_model_and_the_file_and_says_to_build_the_image_again(pod, capfd, difference):
    change, expected = DIFFERENCES[difference]
    change(pod.models_dir)
    assert pod.prepare() == 2
    error, *lines, hint = capfd.readouterr()[1].splitlines()
    assert error == "error: the image does not have the models of this release:"
    assert lines == [f"  {line}" for line in expected]
    assert hint.startswith("hint: Build the image again from this checkout")


def test_configs_for_cpu_are_none_of_a_target_with_gpus(checkout, capfd):
    assert pod_of(checkout, "cpu").prepare() == 2
    err = capfd.readouterr()[1]
    assert re.findall(r"^  (\w+)/config\.pbtxt: is not what", err, re.MULTILINE) == ["alpha", "beta"]


def test_an_empty_folder_that_git_keeps_is_no_model(pod):
    (pod.models_dir / ".gitkeep").touch()
    assert pod.prepare() == 0


def test_a_lock_that_disagrees_with_models_toml_ends_with_4(pod, capfd):
    (pod.folder / "release/models.lock").write_text("")
    assert pod.prepare() == 4
    assert "alpha/1: is not locked" in capfd.readouterr()[1]


def test_what_triton_would_refuse_is_found_in_an_image_too(checkout, capfd):
    config = checkout / "triton-config/alpha/gpu.pbtxt"
    config.write_text(config.read_text().replace("TYPE_FP32", "TYPE_FP64"))
    assert pod_of(checkout).prepare() == 1
    assert "Triton would refuse these models, or serve them wrong:\n  alpha: " in capfd.readouterr()[1]


@pytest.mark.docker
def test_the_image_of_the_documented_dockerfile_is_verified(pod, checkout, tmp_path):
    (text,) = re.findall(r"```dockerfile\n(FROM scratch\n.*?)```", (PROJECT / "docs/kubernetes.md").read_text(), re.S)
    (checkout / "models.dockerfile").write_text(text)
    (checkout / "triton/.gitkeep").touch()
    tag = f"localhost/tritonops-tests-{tmp_path.name}".lower()
    docker("build", "--tag", tag, "--file", checkout / "models.dockerfile", checkout)
    try:
        docker("save", "--output", tmp_path / "saved.tar", tag)
    finally:
        docker("image", "rm", tag)
    shutil.rmtree(pod.models_dir)
    extract_layers(tmp_path / "saved.tar", pod.models_dir)
    assert (pod.models_dir / ".gitkeep").exists()
    assert pod.prepare() == 0


def docker(*words):
    """Run a docker command."""
    done = subprocess.run(["docker", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def extract_layers(saved, folder):
    """Give the files of an image, as a runtime mounts them."""
    with tarfile.open(saved) as image:
        (manifest,) = json.load(image.extractfile("manifest.json") or io.BytesIO())
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=image.extractfile(name)) as layer:
                layer.extractall(folder, filter="data")
