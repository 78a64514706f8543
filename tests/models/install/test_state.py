"""What is installed of a version, told by content."""

import hashlib

import pytest

from tritonops.models.catalog.lockfile import LockedFile, LockedVersion
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store
from tritonops.models.install.state import install_state

FILES = {"model.onnx": b"graph", "parts/weights.bin": b"weights"}
PIN = LockedVersion(
    "one",
    1,
    "",
    None,
    tuple(LockedFile(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in FILES.items()),
)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "triton/one/1"


def state(tmp_path):
    return install_state(Store(tmp_path / ".store"), PIN, Repository(tmp_path / "triton"))


def install(folder, files):
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def test_nothing_is_absent(tmp_path, folder):
    assert state(tmp_path) == "absent"
    folder.mkdir(parents=True)
    assert state(tmp_path) == "absent"


def test_the_pinned_files_are_installed_whatever_else_is_there(tmp_path, folder):
    install(folder, {**FILES, "labels.txt": b"cat"})
    assert state(tmp_path) == "installed"


def test_a_part_of_the_pinned_files_is_incomplete(tmp_path, folder):
    install(folder, {"model.onnx": b"graph"})
    assert state(tmp_path) == "incomplete"


@pytest.mark.parametrize(
    "files", [{"model.onnx": b"other"}, {"parts": b"a file"}, {"model.onnx/x": b"a folder"}], ids=repr
)
def test_something_else_at_a_pinned_path_is_other_bytes(tmp_path, folder, files):
    install(folder, files)
    assert state(tmp_path) == "other bytes"


def test_a_link_or_a_file_in_place_of_the_folder_is_other_bytes(tmp_path, folder):
    folder.parent.mkdir(parents=True)
    folder.symlink_to(tmp_path)
    assert state(tmp_path) == "other bytes"
    folder.unlink()
    folder.parent.rmdir()
    folder.parent.write_text("a file")
    assert state(tmp_path) == "other bytes"
