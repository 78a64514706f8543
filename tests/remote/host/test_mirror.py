"""A host's models directory made equal to a release: what no release has is kept."""

import os

import pytest

from tritonops.models.disk.repository import Repository
from tritonops.remote.host.mirror import discard, mirror


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def release(tmp_path):
    put(tmp_path / "releases/1/triton/clip/1/model.onnx", b"weights")
    return tmp_path / "releases/1/triton"


@pytest.fixture
def served(tmp_path):
    return tmp_path / "shared/triton"


def kept(served):
    return {name.partition("/")[2]: content for name, content in below(served.with_name(".store") / "replaced").items()}


def test_a_model_and_a_file_that_no_release_has_are_kept(release, served):
    mirror(release, served)
    put(served / "clip/1/labels.txt", b"by hand")
    put(served / "mine/1/model.onnx", b"by hand")
    (served / "linked").symlink_to(release / "clip")
    assert sorted(mirror(release, served)) == ["clip", "linked", "mine"]
    assert below(served) == {"clip/1/model.onnx": b"weights"}
    assert kept(served) == {"triton/clip/1/labels.txt": b"by hand", "triton/mine/1/model.onnx": b"by hand"}
    assert (release / "clip/1/model.onnx").read_bytes() == b"weights"


def test_what_a_release_has_goes_without_a_copy(release, served, tmp_path):
    mirror(release, served)
    put(served / "clip/1/__pycache__/model.cpython-311.pyc", b"bytecode")
    put(tmp_path / "releases/2/triton/clip/1/model.onnx", b"newer")
    mirror(tmp_path / "releases/2/triton", served)
    assert below(served) == {"clip/1/model.onnx": b"newer"}
    discard(Repository(served), "clip")
    assert (below(served), kept(served)) == ({}, {})


def test_without_hard_links_a_replaced_model_goes_without_a_copy(release, served, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    mirror(release, served)
    put(tmp_path / "releases/2/triton/clip/1/model.onnx", b"newer")
    mirror(tmp_path / "releases/2/triton", served)
    assert (below(served), kept(served)) == ({"clip/1/model.onnx": b"newer"}, {})


def test_what_a_killed_switch_had_moved_is_kept(release, served):
    put(served.with_name(".mirror") / "old/mine/1/model.onnx", b"by hand")
    mirror(release, served)
    assert kept(served) == {".mirror/old/mine/1/model.onnx": b"by hand"}
