"""A full disk, and a current release whose folder was deleted."""

import shutil
from collections import namedtuple
from dataclasses import asdict, replace

import pytest

from tests.remote.fakes import RECORD
from tritonops.files import write_json
from tritonops.remote.host.recovery import RESERVE, allocate_reserve, is_complete, make_room, rebuild_release
from tritonops.remote.layout.paths import Layout

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def layout(tmp_path):
    (tmp_path / "shared/triton").mkdir(parents=True)
    for name in ("r000001-abc", "r000002-abc"):
        folder = tmp_path / "releases" / name
        (folder / "project").mkdir(parents=True)
        (folder / "project/inv").touch()
        (folder / "inv").touch()
        write_json(folder / "release.json", asdict(replace(RECORD, id=name)))
    return Layout(tmp_path)


def test_the_reserve_is_allocated_on_a_disk_with_space_and_used_on_a_full_one(layout, monkeypatch):
    lines: list[str] = []
    make_room(layout, on_step=lines.append)
    assert (layout.reserve.stat().st_size, lines) == (RESERVE, [])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 1024))
    make_room(layout, on_step=lines.append)
    assert not layout.reserve.exists()
    assert "is full (1 KiB free)" in lines[0]


def test_a_reserve_that_cannot_be_allocated_is_no_error(layout, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", fail)
    allocate_reserve(layout)


@pytest.mark.parametrize("missing", ["project/inv", "inv", "release.json"])
def test_a_release_without_one_of_its_files_is_not_complete(layout, missing):
    release = layout.release("r000001-abc")
    assert is_complete(release)
    (release.path / missing).unlink()
    assert not is_complete(release)


def test_a_deleted_release_is_rebuilt_with_what_is_served_and_the_files_of_another(layout):
    (layout.models_dir / "alpha/1").mkdir(parents=True)
    (layout.models_dir / "alpha/1/model.onnx").write_text("one")
    gone, like = layout.release("r000001-abc"), layout.release("r000002-abc")
    shutil.rmtree(gone.project)
    rebuild_release(layout, gone, like, on_step=lambda line: None)
    assert is_complete(gone)
    assert (gone.record.id, gone.record.fingerprint, gone.record.digest) == ("r000001-abc", "", "")
    assert gone.activation
    assert gone.activation.result == "done"
    assert (gone.models_dir / "alpha/1/model.onnx").samefile(layout.models_dir / "alpha/1/model.onnx")
    assert (gone.project / ".env").readlink().name == "r000001-abc"
