"""models.download from files on this machine: what every source has in common."""

import os
from pathlib import Path

import pytest

from tests.models.catalogs import read_only
from tritonops.errors import UnknownModelError
from tritonops.models.disk.repository import Repository
from tritonops.models.download import download
from tritonops.models.lock import lock_models
from tritonops.models.transfer.progress import Progress
from tritonops.project import Project
from tritonops.settings import load_settings

ONE = """
[[models.digits]]
path = "digits.onnx"
triton_version = 1
type = "single_file"
"""


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "models.toml").write_text(ONE)
    (tmp_path / "digits.onnx").write_bytes(b"weights")
    return load_settings(tmp_path, environ={})


class Warnings(Progress):
    def __init__(self):
        self.messages = []

    def warned(self, message):
        self.messages.append(message)


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_local_file_is_installed_and_pinned(settings):
    result = download(Project(settings))
    assert (result.downloaded, result.failed, result.bytes) == (("digits/1",), (), 7)
    assert files_below(settings.models_dir) == {"digits/1/model.onnx": b"weights"}
    assert "[models.digits.1]" in settings.lock_path.read_text()


def test_a_local_file_that_is_not_pinned_is_read_once(settings, monkeypatch):
    source, opened, real = settings.models_toml.with_name("digits.onnx"), [], Path.open

    def counted(path, *args, **options):
        opened.append(path)
        return real(path, *args, **options)

    monkeypatch.setattr(Path, "open", counted)
    download(Project(settings))
    assert opened.count(source) == 1
    settings.lock_path.unlink()
    opened.clear()
    assert download(Project(settings)).bytes == 0
    assert opened.count(source) <= 1


def test_a_second_run_finds_nothing_to_do(settings):
    download(Project(settings))
    before = settings.lock_path.stat().st_mtime_ns
    result = download(Project(settings))
    assert (result.downloaded, result.skipped, result.bytes) == ((), ("digits/1",), 0)
    assert settings.lock_path.stat().st_mtime_ns == before


def test_a_folder_becomes_the_folder_named_local_name(settings):
    folder = settings.project / "exported"
    (folder / "parts").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "parts/weights.bin").write_bytes(b"weights")
    settings.models_toml.write_text('[[models.big]]\npath = "exported"\ntriton_version = 3\ntype = "directory"\n')
    assert download(Project(settings)).downloaded == ("big/3",)
    assert files_below(settings.models_dir) == {
        "big/3/model.onnx/model.onnx": b"graph",
        "big/3/model.onnx/parts/weights.bin": b"weights",
    }


def test_installed_files_are_links_to_one_stored_file(settings):
    settings.models_toml.write_text(ONE + ONE.replace("models.digits", "models.twin"))
    assert download(Project(settings)).bytes == 7
    placed = settings.models_dir / "digits/1/model.onnx"
    assert placed.samefile(settings.models_dir / "twin/1/model.onnx")
    assert not placed.stat().st_mode & 0o222


def test_other_files_in_the_versions_place_are_replaced_only_with_overwrite(settings):
    place = settings.models_dir / "digits/1"
    place.mkdir(parents=True)
    (place / "model.onnx").write_bytes(b"by hand")
    result = download(Project(settings))
    assert "--overwrite" in result.failed[0].error
    assert files_below(place) == {"model.onnx": b"by hand"}
    assert download(Project(settings), overwrite=True).downloaded == ("digits/1",)
    assert files_below(place) == {"model.onnx": b"weights"}


def test_the_same_bytes_put_there_by_somebody_else_are_taken_over(settings):
    place = settings.models_dir / "digits/1"
    place.mkdir(parents=True)
    (place / "model.onnx").write_bytes(b"weights")
    result = download(Project(settings))
    assert (result.skipped, result.bytes) == (("digits/1",), 0)
    assert len(list(settings.store_dir.glob("?" * 64))) == 1


def test_a_lost_store_is_filled_again_from_what_is_installed(settings):
    download(Project(settings))
    for blob in settings.store_dir.glob("?" * 64):
        blob.unlink()
    (settings.project / "digits.onnx").unlink()
    assert download(Project(settings)).skipped == ("digits/1",)


def test_a_source_that_changed_since_it_was_locked_is_not_installed(settings):
    download(Project(settings))
    for path in (settings.models_dir / "digits/1/model.onnx", *settings.store_dir.glob("?" * 64)):
        path.unlink()
    (settings.project / "digits.onnx").write_bytes(b"retrain")
    result = download(Project(settings))
    assert "changed since it was locked" in result.failed[0].error
    assert files_below(settings.models_dir) == {}


def test_a_pinned_source_that_is_gone_is_named_and_the_rest_is_done(settings):
    settings.models_toml.write_text(ONE + ONE.replace("digits.onnx", "other.onnx").replace("digits]", "other]"))
    (settings.project / "other.onnx").write_bytes(b"others")
    lock_models(Project(settings))
    (settings.project / "other.onnx").unlink()
    result = download(Project(settings))
    assert result.downloaded == ("digits/1",)
    assert "cannot read" in result.failed[0].error


def test_a_disabled_model_is_installed_where_it_lives(settings):
    (Repository(settings.models_dir).disabled / "digits").mkdir(parents=True)
    assert download(Project(settings)).downloaded == ("digits/1",)
    assert files_below(Repository(settings.models_dir).disabled) == {"digits/1/model.onnx": b"weights"}
    assert files_below(settings.models_dir) == {}


def test_one_version_that_fails_does_not_keep_the_others_from_being_done(settings):
    settings.models_toml.write_text(ONE.replace("digits.onnx", "missing.onnx").replace("digits]", "lost]") + ONE)
    result = download(Project(settings))
    assert result.downloaded == ("digits/1",)
    assert [failure.model for failure in result.failed] == ["lost/1"]


def test_an_unknown_name_is_refused_before_anything_is_written(settings):
    with pytest.raises(UnknownModelError, match="digit"):
        download(Project(settings), include=["digit"])
    assert not settings.store_dir.exists()


def test_where_the_lock_cannot_be_written_the_download_goes_on(settings):
    folder = settings.project / "locks"
    folder.mkdir()
    (folder / "models.lock").touch()
    settings.lock_path.symlink_to("locks/models.lock")
    warnings = Warnings()
    with read_only(folder):
        result = download(Project(settings), progress=warnings)
    assert result.downloaded == ("digits/1",)
    assert "nothing is pinned" in warnings.messages[0]


def test_files_that_cannot_be_linked_are_copied(settings, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert download(Project(settings)).downloaded == ("digits/1",)
    assert files_below(settings.models_dir) == {"digits/1/model.onnx": b"weights"}
    assert download(Project(settings)).skipped == ("digits/1",)
