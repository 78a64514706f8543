"""A checkout that can be deployed, and its models."""

from __future__ import annotations

import subprocess

import pytest

from tests.remote.client.repository import (
    AS_COMMITTED,
    FILES,
    HERE,
    Repository,
    is_changed,
    sent,
    sha256,
)
from tritonops.errors import InputError
from tritonops.remote.client.checkout import GitCheckout, read_checkout


def test_a_clean_checkout_is_sent_as_its_commit_is(repository):
    source = read_checkout(repository.folder)
    assert sent(repository.folder) == AS_COMMITTED
    assert (source.head.subject, source.head.is_changed) == ("Begin", False)
    assert source.label == source.head.commit


def test_in_a_subfolder_of_a_monorepo_edits_elsewhere_are_no_difference(tmp_path):
    mono = Repository(tmp_path / "mono", {f"serving/{name}": text for name, text in FILES.items()} | {"app.py": "1\n"})
    project = mono.folder / "serving"
    before = read_checkout(project)
    mono.write("app.py", "2\n")
    mono.write("serving-too/inv", "another\n")
    after = read_checkout(project)
    assert before.manifest == after.manifest
    assert after.head == before.head
    mono.commit()
    assert read_checkout(project).fingerprint(HERE) == before.fingerprint(HERE)
    (project / "config.pbtxt").write_text("two\n")
    assert sent(project) == AS_COMMITTED | {"config.pbtxt": sha256("two\n")}
    assert is_changed(project)


def test_an_archive_unpacked_inside_another_repository_is_no_checkout(repository):
    unpacked = repository.folder / "downloads/tritonops-main"
    for name, text in FILES.items():
        repository.write(f"downloads/tritonops-main/{name}", text)
    with pytest.raises(InputError, match="inv is not tracked by git in this folder"):
        read_checkout(unpacked)


def test_a_folder_without_git_and_one_without_a_commit_are_refused(tmp_path):
    (tmp_path / "inv").touch()
    with pytest.raises(InputError, match="not a git repository") as caught:
        read_checkout(tmp_path)
    assert "files that git tracks" in str(caught.value.hint)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    with pytest.raises(InputError, match="HEAD"):
        _ = read_checkout(tmp_path).label


@pytest.mark.parametrize("name", ["inv", "models.toml", "requirements/runtime.txt"])
def test_a_checkout_without_what_a_host_needs_is_refused_by_name(repository, name):
    (repository.folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        read_checkout(repository.folder)


def model(repository: Repository, path: str) -> GitCheckout:
    repository.write("models.toml", f'[[models.alpha]]\npath = "{path}"\ntriton_version = 1\n')
    repository.git("add", "models.toml")
    return read_checkout(repository.folder)


def test_a_model_that_git_does_not_track_is_refused_with_both_ways_out(repository, tmp_path):
    repository.write(".gitignore", "*.onnx\n")
    repository.write("models/a.onnx", "weights")
    with pytest.raises(InputError, match=r"alpha/1: .*a\.onnx is not tracked by git") as caught:
        model(repository, "models/a.onnx").require_models(HERE)
    assert "git add models/a.onnx" in str(caught.value.hint)
    assert "--push" in str(caught.value.hint)
    repository.git("add", "--force", "models/a.onnx")
    model(repository, "models/a.onnx").require_models(HERE)
    (tmp_path / "b.onnx").write_text("weights")
    with pytest.raises(InputError, match=r"b\.onnx lies outside of the checkout"):
        model(repository, "../b.onnx").require_models(HERE)
    (repository.folder / "link.onnx").symlink_to(tmp_path / "b.onnx")
    repository.git("add", "--force", "link.onnx")
    with pytest.raises(InputError, match="lies outside of the checkout"):
        model(repository, "link.onnx").require_models(HERE)


def test_a_model_for_other_hosts_need_not_be_tracked(repository):
    repository.write("a.onnx", "weights")
    text = '[[models.alpha]]\npath = "a.onnx"\ntriton_version = 1\nhosts = ["gpu-02"]\n'
    repository.write("models.toml", text)
    read_checkout(repository.folder).require_models(HERE)
