"""Versions appear by one rename; what is replaced is kept."""

import hashlib

import pytest

from tritonops.models.catalog.lockfile import LockedFile, LockedVersion
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store
from tritonops.models.install.staging import staged, staged_version


@pytest.fixture
def store(tmp_path):
    (tmp_path / ".store").mkdir()
    return Store(tmp_path / ".store")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "triton")


def pinned(store, tmp_path, data):
    sha256 = hashlib.sha256(data).hexdigest()
    (tmp_path / "source").write_bytes(data)
    store.copy_in(tmp_path / "source", sha256)
    return LockedVersion("one", 1, "", None, (LockedFile("model.onnx", len(data), sha256),))


def install(store, repository, pin, earlier=None):
    with staged(store, pin, repository, earlier=earlier) as swap, repository.changing():
        swap()


def test_a_version_is_complete_when_it_appears_and_its_files_are_links(store, repository, tmp_path):
    pin = pinned(store, tmp_path, b"weights")
    with staged(store, pin, repository) as swap, repository.changing():
        assert not repository.version_dir("one", 1).exists()
        swap()
    installed = repository.version_dir("one", 1) / "model.onnx"
    assert installed.samefile(store.blob(pin.files[0].sha256))
    assert not staged_version(pin, repository).exists()


def test_without_the_swap_nothing_is_left(store, repository, tmp_path):
    with staged(store, pinned(store, tmp_path, b"weights"), repository):
        pass
    assert not repository.version_dir("one", 1).exists()


def test_a_replaced_version_keeps_its_other_files(store, repository, tmp_path):
    first = pinned(store, tmp_path, b"weights")
    install(store, repository, first)
    folder = repository.version_dir("one", 1)
    (folder / "labels.txt").write_text("cat")
    install(store, repository, pinned(store, tmp_path, b"better"), earlier=first)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "model.onnx": b"better",
        "labels.txt": b"cat",
    }
    assert not list((tmp_path / ".store/replaced").rglob("model.onnx"))


def test_what_is_not_ours_is_moved_away(store, repository, tmp_path):
    folder = repository.version_dir("one", 1)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"by hand")
    install(store, repository, pinned(store, tmp_path, b"weights"))
    assert (folder / "model.onnx").read_bytes() == b"weights"
    [kept] = (tmp_path / ".store/replaced").rglob("model.onnx")
    assert kept.read_bytes() == b"by hand"
