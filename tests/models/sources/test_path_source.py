"""Files of this machine that change after they were locked: every command that reads the lock says so."""

import os
import shutil
from pathlib import Path

import pytest

from tests.models.catalogs import files_below
from tritonops.errors import PartialFailureError, SourceChangedError, SourceError, SourceMissingError, StaleLockError
from tritonops.models.catalog.catalog import PathSource
from tritonops.models.catalog.lockfile import load_lock
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.check import check
from tritonops.models.checked import Checked
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.models.disk.repository import Repository
from tritonops.models.download import download, raise_unless_done
from tritonops.models.lock import compare_lock, lock_models
from tritonops.models.rules.judged_server import server_of_image
from tritonops.models.sources.path_source import require_unchanged, source_problems
from tritonops.models.transfer.progress import Progress
from tritonops.project import Project
from tritonops.settings import load_settings
from tritonops.triton_image import parse_image

NOWHERE = Path("/nonexistent/digests.json")
CATALOG = """
[[models.digits]]
path = "digits.onnx"
triton_version = 1

[[models.other]]
path = "other.onnx"
triton_version = 1

[[models.folder]]
path = "exported"
triton_version = 1
type = "directory"
"""


class Warnings(Progress):
    def __init__(self):
        self.messages = []

    def warned(self, message):
        self.messages.append(message)


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "models.toml").write_text(CATALOG)
    (tmp_path / "digits.onnx").write_bytes(b"weights")
    (tmp_path / "other.onnx").write_bytes(b"others")
    (tmp_path / "exported" / "parts").mkdir(parents=True)
    (tmp_path / "exported" / "model.onnx").write_bytes(b"graph")
    (tmp_path / "exported" / "parts" / "a.bin").write_bytes(b"part a")
    (tmp_path / "exported" / "parts" / "link.bin").symlink_to("../../elsewhere.bin")
    (tmp_path / "elsewhere.bin").write_bytes(b"elsewhere")
    settings = load_settings(tmp_path, environ={})
    assert sorted(download(Project(settings)).downloaded) == ["digits/1", "folder/1", "other/1"]
    return settings


def problems(settings):
    found = source_problems(load_catalog(settings.models_toml), load_lock(settings.lock_path), DigestCache(NOWHERE))
    return {label: (type(error), str(error)) for label, error in found.items()}


def test_a_download_stops_for_a_model_whose_source_changed_and_names_the_commands_that_resolve_it(settings):
    before = files_below(settings.models_dir), settings.lock_path.read_text()
    (settings.project / "digits.onnx").write_bytes(b"retrain")
    shutil.rmtree(settings.models_dir / "other")
    result = download(Project(settings))
    assert (result.downloaded, result.skipped) == (("other/1",), ("folder/1",))  # the others are done
    with pytest.raises(PartialFailureError, match=r"changed since it was locked: model.onnx: SHA-256") as caught:
        raise_unless_done(result)
    assert caught.value.exit_code == 2
    assert (files_below(settings.models_dir), settings.lock_path.read_text()) == before
    for command in ("inv models.lock --include digits", "inv models.download --include digits --overwrite"):
        assert command in str(caught.value)


def test_the_two_commands_take_what_is_there_now(settings):
    (settings.project / "digits.onnx").write_bytes(b"retrained")
    assert lock_models(Project(settings), include=["digits"]).locked == ("digits/1",)
    assert download(Project(settings), include=["digits"], overwrite=True).downloaded == ("digits/1",)
    assert files_below(settings.models_dir)["digits/1/model.onnx"] == b"retrained"
    assert problems(settings) == {}
    compare_lock(Project(settings)).raise_if_different()


def test_restoring_the_file_resolves_it_too(settings):
    (settings.project / "digits.onnx").write_bytes(b"retrain")
    (settings.project / "digits.onnx").write_bytes(b"weights")
    assert download(Project(settings)).failed == ()
    compare_lock(Project(settings)).raise_if_different()


@pytest.mark.parametrize("options", [{"overwrite": True}, {"verify": True}])
def test_no_option_of_a_download_replaces_a_version_whose_source_changed(settings, options):
    (settings.project / "digits.onnx").write_bytes(b"retrain")
    result = download(Project(settings), **options)
    assert [(failure.model, failure.exit_code) for failure in result.failed] == [("digits/1", 2)]
    assert files_below(settings.models_dir)["digits/1/model.onnx"] == b"weights"


def test_failures_of_both_kinds_end_with_1(settings):
    (settings.project / "digits.onnx").write_bytes(b"retrain")
    (settings.models_dir / "other/1/model.onnx").unlink()
    (settings.models_dir / "other/1/model.onnx").write_bytes(b"by hand")
    with pytest.raises(PartialFailureError) as caught:
        raise_unless_done(download(Project(settings)))
    assert caught.value.exit_code == 1
    assert sorted(caught.value.failures) == ["digits/1", "other/1"]


def test_the_lock_check_ends_with_4_and_names_what_differs(settings):
    (settings.project / "digits.onnx").write_bytes(b"retrain")
    settings.models_toml.write_text(CATALOG.replace("other.onnx", "another.onnx").replace("models.folder", "models.f2"))
    with pytest.raises(StaleLockError) as caught:
        compare_lock(Project(settings)).raise_if_different()
    assert caught.value.exit_code == 4
    lines = [line.strip().partition(": ") for line in str(caught.value).splitlines()[1:]]
    assert [(label, what.partition(": ")[0]) for label, _, what in lines] == [
        ("digits/1", f"{settings.project}/digits.onnx changed since it was locked"),
        ("f2/1", "is not locked"),
        ("folder/1", "is locked, but models.toml does not have it"),
        ("other/1", lines[3][2]),
    ]
    assert lines[3][2].startswith("models.toml asks for path:another.onnx")
    with pytest.raises(StaleLockError):
        compare_lock(Project(settings), include=["digits"]).raise_if_different()
    (settings.project / "digits.onnx").write_bytes(b"weights")
    compare_lock(Project(settings), include=["digits"]).raise_if_different()


def test_locking_what_is_not_locked_says_what_changed_and_keeps_its_pin(settings):
    (settings.project / "digits.onnx").write_bytes(b"retrain")
    pin = load_lock(settings.lock_path)["digits/1"]
    settings.models_toml.write_text(CATALOG + CATALOG.partition("[[models.other")[0].replace("digits]", "twin]"))
    with pytest.raises(PartialFailureError, match="changed since it was locked") as caught:
        lock_models(Project(settings))
    assert caught.value.exit_code == 2
    assert load_lock(settings.lock_path)["digits/1"] == pin
    assert "twin/1" in load_lock(settings.lock_path)


def put_a_file_there(folder):
    shutil.rmtree(folder)
    folder.write_bytes(b"x")


CHANGES = {
    "added": (lambda folder: (folder / "parts/new.bin").write_bytes(b"x"), "model.onnx/parts/new.bin was added"),
    "removed": (lambda folder: (folder / "parts/a.bin").unlink(), "model.onnx/parts/a.bin was removed"),
    "changed": (lambda folder: (folder / "model.onnx").write_bytes(b"GRAPH"), "model.onnx/model.onnx: SHA-256"),
    "grown": (lambda folder: (folder / "model.onnx").write_bytes(b"graph 2"), "7 bytes, locked are 5"),
    "renamed": (
        lambda folder: (folder / "parts/a.bin").rename(folder / "parts/b.bin"),
        "model.onnx/parts/a.bin was removed, model.onnx/parts/b.bin was added",
    ),
    "re-targeted": (
        lambda folder: (
            (folder / "parts/link.bin").unlink(),
            (folder / "parts/link.bin").symlink_to("../model.onnx"),
        ),
        "model.onnx/parts/link.bin: 5 bytes, locked are 9",
    ),
    "a changed target": (
        lambda folder: (folder.parent / "elsewhere.bin").write_bytes(b"ELSEWHERE"),
        "link.bin: SHA-256",
    ),
    "a linked folder": (
        lambda folder: (
            (folder.parent / "more").mkdir(),
            (folder.parent / "more/c.bin").write_bytes(b"c"),
            (folder / "more").symlink_to("../more"),
        ),
        "model.onnx/more/c.bin was added",
    ),
    "a file in its place": (put_a_file_there, "it is a file now"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_every_change_of_a_folder_is_noticed(settings, kind):
    change, expected = CHANGES[kind]
    change(settings.project / "exported")
    [(label, (error, message))] = problems(settings).items()
    assert (label, error) == ("folder/1", SourceChangedError)
    assert expected in message
    assert [failure.exit_code for failure in download(Project(settings)).failed] == [2]


def test_what_does_not_change_a_byte_is_no_change(settings):
    folder = settings.project / "exported"
    os.utime(folder / "model.onnx")
    (folder / "parts/a.bin").rename(folder / "moved")
    shutil.copy(folder / "moved", folder / "parts/a.bin")
    (folder / "moved").unlink()
    (folder / "empty").mkdir()
    (folder / "parts/link.bin").unlink()
    (folder / "parts/link.bin").write_bytes(b"elsewhere")
    assert problems(settings) == {}


def test_a_missing_source_is_told_and_the_locked_bytes_stay(settings):
    (settings.project / "digits.onnx").unlink()
    shutil.rmtree(settings.models_dir / "digits")
    progress = Warnings()
    assert download(Project(settings), progress=progress).downloaded == ("digits/1",)  # from the store
    assert progress.messages == [f"digits/1: {settings.project}/digits.onnx is not there; what is locked counts"]
    with pytest.raises(PartialFailureError, match=r"digits\.onnx is not there") as caught:
        compare_lock(Project(settings)).raise_if_different()
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("spoil", ["broken link", "loop", "pipe"])
def test_a_folder_that_cannot_be_read_whole_is_an_error_and_no_difference(settings, spoil):
    folder = settings.project / "exported"
    if spoil == "broken link":
        (settings.project / "elsewhere.bin").unlink()
    elif spoil == "loop":
        (folder / "parts/loop").symlink_to("..")
    else:
        os.mkfifo(folder / "parts/pipe")
    [(label, (error, _))] = problems(settings).items()
    assert (label, error) == ("folder/1", SourceError)
    with pytest.raises(PartialFailureError) as caught:
        compare_lock(Project(settings)).raise_if_different()
    assert caught.value.exit_code == 1
    assert [(failure.model, failure.exit_code) for failure in download(Project(settings)).failed] == [("folder/1", 1)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_source_is_an_error(settings):
    (settings.project / "digits.onnx").chmod(0)
    assert problems(settings)["digits/1"][0] is SourceError


def test_the_listing_and_the_check_show_it(settings):
    (settings.project / "digits.onnx").write_bytes(b"retrain")
    (settings.project / "other.onnx").unlink()
    catalog, pins = load_catalog(settings.models_toml), load_lock(settings.lock_path)
    found = source_problems(catalog, pins, DigestCache(NOWHERE))
    assert {label: type(error) for label, error in found.items()} == {
        "digits/1": SourceChangedError,
        "other/1": SourceMissingError,
    }
    checked = Checked(
        catalog,
        Repository(settings.models_dir),
        settings.config_dir,
        settings.lock_path,
        server_of_image(parse_image("26.07")),
    )
    codes = {(each.model, each.code, each.severity) for each in check(checked) if each.code.startswith("source")}
    assert codes == {("digits", "source-changed", "error"), ("other", "source-unreadable", "warning")}
    codes = {(each.model, each.code, each.severity) for each in check(checked, include=["digits"])}
    assert ("digits", "source-changed", "error") in codes
    assert "other" not in {model for model, _, _ in codes}


def test_a_change_that_keeps_size_and_times_is_noticed(settings):
    path = settings.project / "digits.onnx"
    before = path.stat()
    assert problems(settings) == {}
    path.write_bytes(b"WEIGHTS")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert problems(settings).keys() == {"digits/1"}
    assert [failure.model for failure in download(Project(settings)).failed] == ["digits/1"]


def test_an_unchanged_source_is_not_read_again(settings, monkeypatch):
    digests = DigestCache(settings.store_dir / "digests.json")
    version, pin = load_catalog(settings.models_toml).versions[0], load_lock(settings.lock_path)["digits/1"]
    assert isinstance(version.source, PathSource)
    require_unchanged(version, version.source, pin, digests)
    monkeypatch.setattr("hashlib.file_digest", None)  # raises where anything is hashed
    require_unchanged(version, version.source, pin, digests)


def test_the_exit_codes_of_the_command_line(settings, inv, monkeypatch):
    monkeypatch.setenv("MODELS_TOML", str(settings.models_toml))
    monkeypatch.setenv("TRITON_MODELS_DIR", str(settings.models_dir))
    (settings.project / "digits.onnx").write_bytes(b"retrain")
    code, _, err = inv("models.download")
    assert code == 2
    assert "inv models.download --include digits --overwrite" in err
    code, out, err = inv("models.lock", "--check")
    assert (code, out) == (4, "")
    assert "changed since it was locked" in err
    code, out, err = inv("models.list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if "yes, source changed" in line] == ["digits"]
    assert "SHA-256" in err
    assert inv("models.check")[0] == 1
