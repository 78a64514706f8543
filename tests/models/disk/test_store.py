"""The store: what --verify finds in it, and what prune takes out of it."""

import pytest

from tests.models.catalogs import files_below, one_file, write
from tritonops.models.download import download
from tritonops.models.lock import lock_models
from tritonops.models.prune import delete_unreferenced, find_unreferenced
from tritonops.project import Project


@pytest.fixture
def installed(hub, project):
    hub.push("team/a", {"model.onnx": b"a weights"})
    hub.push("team/b", {"model.onnx": b"the weights of b"})
    write(project, one_file("a", "team/a"), one_file("b", "team/b"))
    download(Project(project))
    hub.seen.clear()
    return project


def damage(path):
    path.chmod(0o644)
    path.write_bytes(b"A WEIGHTS")


def test_verify_finds_nothing_wrong_without_a_request(hub, installed):
    result = download(Project(installed), verify=True)
    assert (result.downloaded, result.skipped, hub.seen) == ((), ("a/1", "b/1"), [])


def test_verify_repairs_a_file_that_was_damaged_in_place(installed):
    damage(installed.models_dir / "a/1/model.onnx")
    assert [failure.model for failure in download(Project(installed)).failed] == ["a/1"]
    assert download(Project(installed), verify=True).downloaded == ("a/1",)
    assert files_below(installed.models_dir)["a/1/model.onnx"] == b"a weights"
    assert b"A WEIGHTS" in files_below(installed.store_dir / "replaced").values()


def test_verify_repairs_a_file_that_was_put_in_the_place_of_a_link_without_a_request(hub, installed):
    place = installed.models_dir / "a/1/model.onnx"
    place.unlink()
    place.write_bytes(b"A WEIGHTS")
    assert download(Project(installed), verify=True).downloaded == ("a/1",)
    assert files_below(installed.models_dir)["a/1/model.onnx"] == b"a weights"
    assert hub.seen == []


def test_prune_keeps_what_the_lock_or_a_version_refers_to(installed):
    assert find_unreferenced(Project(installed)).files == {}


def test_prune_takes_what_only_an_old_lock_referred_to(hub, installed):
    hub.push("team/a", {"model.onnx": b"a newer"})
    write(installed, one_file("a", "team/a", version=2), one_file("b", "team/b"))
    download(Project(installed))
    old = installed.models_dir / "a/1/model.onnx"
    assert find_unreferenced(Project(installed)).files == {}  # version 1 is installed still
    old.unlink()
    found = find_unreferenced(Project(installed))
    assert [file.read_bytes() for file in found.files] == [b"a weights"]
    assert delete_unreferenced(Project(installed), found) == found
    assert download(Project(installed)).skipped == ("a/2", "b/1")


def test_prune_takes_the_beginnings_of_files_that_are_no_longer_wanted(installed):
    partial = installed.store_dir / "partial" / ("0" * 64)
    partial.write_bytes(b"half")
    assert find_unreferenced(Project(installed)).files == {partial: 4}


def test_prune_keeps_what_came_into_use_after_it_was_shown(installed):
    text, lock = installed.models_toml.read_text(), installed.lock_path.read_text()
    write(installed, one_file("b", "team/b"))
    (installed.models_dir / "a/1/model.onnx").unlink()
    lock_models(Project(installed))
    found = find_unreferenced(Project(installed))
    assert len(found.files) == 1
    installed.models_toml.write_text(text)
    installed.lock_path.write_text(lock)
    assert delete_unreferenced(Project(installed), found).files == {}
    assert download(Project(installed)).bytes == 0


def test_going_back_to_an_earlier_version_needs_no_network(hub, installed):
    first = installed.models_toml.read_text()
    lock = installed.lock_path.read_text()
    hub.push("team/a", {"model.onnx": b"a newer"})
    write(installed, one_file("a", "team/a", revision="main").replace("model.onnx", "./model.onnx"))
    download(Project(installed), overwrite=True)
    write(installed, first)
    installed.lock_path.write_text(lock)
    hub.seen.clear()
    download(Project(installed), overwrite=True)
    assert files_below(installed.models_dir)["a/1/model.onnx"] == b"a weights"
    assert hub.seen == []
