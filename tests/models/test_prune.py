"""Unreferenced files: found, shown, deleted; never one that something uses."""

import pytest

from tests.models.catalogs import one_file, write
from tritonops.models.disk.replaced_files import delete_leaf
from tritonops.models.download import download
from tritonops.models.prune import delete_unreferenced, find_unreferenced
from tritonops.project import Project


@pytest.fixture
def pruned(hub, project):
    """A project with one installed model, and one stored file that nothing refers to."""
    hub.push("team/clip", {"model.onnx": b"weights"})
    write(project, one_file("clip", "team/clip"))
    download(Project(project))
    (project.store_dir / ("0" * 64)).write_bytes(b"left")
    return project


def names(found):
    return [found.displayed_name(file) for file in found.files]


def test_what_a_pin_or_a_version_refers_to_is_kept(pruned):
    assert names(find_unreferenced(Project(pruned))) == ["0" * 64]
    pruned.lock_path.unlink()
    assert names(find_unreferenced(Project(pruned))) == ["0" * 64]  # the version on disk is a link to it


def test_what_came_into_use_since_it_was_found_is_kept(pruned):
    found = find_unreferenced(Project(pruned))
    (pruned.models_dir / "clip/1/extra").hardlink_to(pruned.store_dir / ("0" * 64))
    assert names(delete_unreferenced(Project(pruned), found)) == []
    (pruned.models_dir / "clip/1/extra").unlink()
    assert names(delete_unreferenced(Project(pruned), found)) == ["0" * 64]
    assert not (pruned.store_dir / ("0" * 64)).exists()


def test_replaced_files_can_go_with_their_empty_folders(pruned):
    replaced = pruned.store_dir / "replaced/2026-01-01T00-00-00/triton/x"
    replaced.parent.mkdir(parents=True)
    replaced.write_bytes(b"mine")
    found = find_unreferenced(Project(pruned))
    assert "replaced/2026-01-01T00-00-00/triton/x" in names(found)
    delete_unreferenced(Project(pruned), found)
    assert not (pruned.store_dir / "replaced").exists()


def test_the_freed_bytes_of_a_file_with_another_link_are_none(pruned, tmp_path):
    (tmp_path / "another link").hardlink_to(pruned.store_dir / ("0" * 64))
    (pruned.store_dir / ("1" * 64)).write_bytes(bytes(8192))
    found = find_unreferenced(Project(pruned))
    assert names(found) == ["1" * 64]
    assert found.bytes == 8192


def test_a_folder_that_is_filled_after_it_was_found_empty_stays(pruned, monkeypatch):
    folder = pruned.store_dir / "replaced/20260704T120000Z/triton"
    folder.mkdir(parents=True)
    found = find_unreferenced(Project(pruned))

    def delete_after_somebody_filled_it(leaf):
        (folder / "clip").write_text("replaced meanwhile")
        delete_leaf(leaf)

    monkeypatch.setattr("tritonops.models.prune.delete_leaf", delete_after_somebody_filled_it)
    deleted = delete_unreferenced(Project(pruned), found)
    assert folder in found.files
    assert names(deleted) == ["0" * 64]
    assert (folder / "clip").exists()
