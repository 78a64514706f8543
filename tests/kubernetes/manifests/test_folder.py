"""The folder of a target: replaced as a whole, and never with what somebody else put there."""

import pytest

from tritonops.errors import InputError, TritonOpsError
from tritonops.kubernetes.manifests.folder import HEADER, folder_files, write_folder

OBJECTS = [{"kind": "Service"}, {"kind": "Service"}, {"kind": "Deployment"}]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "manifests" / "production"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_named_by_the_kind_of_its_object_and_in_the_kustomization(folder):
    files = folder_files(OBJECTS, None)
    assert [*files] == ["kustomization.yaml", "service-1.yaml", "service-2.yaml", "deployment.yaml"]
    assert files["deployment.yaml"] == f"{HEADER}kind: Deployment\n"
    resources = "- service-1.yaml\n- service-2.yaml\n- deployment.yaml\n"
    assert files["kustomization.yaml"].endswith(f"resources:\n{resources}")


def test_a_patch_is_copied_beside_the_objects(folder, tmp_path):
    (tmp_path / "mine.yaml").write_text("kind: Deployment\n")
    files = folder_files(OBJECTS, tmp_path / "mine.yaml")
    assert files["patch.yaml"] == f"{HEADER}# A copy of mine.yaml.\nkind: Deployment\n"
    assert "patches:\n- path: patch.yaml\n" in files["kustomization.yaml"]


def test_files_of_an_earlier_render_go_and_the_same_ones_are_left_alone(folder):
    assert write_folder(folder, folder_files(OBJECTS, None)) is True
    inode = folder.stat().st_ino
    assert write_folder(folder, folder_files(OBJECTS, None)) is False
    assert folder.stat().st_ino == inode
    assert write_folder(folder, folder_files(OBJECTS[2:], None)) is True
    assert names(folder) == ["deployment.yaml", "kustomization.yaml"]
    assert names(folder.parent) == ["production"]


@pytest.mark.parametrize("name", ["notes.txt", "deployment.yaml"])
def test_a_file_of_somebody_else_keeps_the_folder_as_it_is(folder, name):
    write_folder(folder, folder_files(OBJECTS, None))
    (folder / name).write_text("mine\n")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match=f"{name} was not rendered"):
        write_folder(folder, folder_files(OBJECTS[1:], None))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_in_it_and_a_link_in_its_place_are_refused(folder, tmp_path):
    folder.mkdir(parents=True)
    (folder / "more").mkdir()
    with pytest.raises(InputError, match="more was not rendered"):
        write_folder(folder, folder_files(OBJECTS, None))
    (folder / "more").rmdir()
    assert write_folder(folder, folder_files(OBJECTS, None)) is True  # it was empty
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(InputError, match="is not a folder"):
        write_folder(link, folder_files(OBJECTS, None))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TritonOpsError, match="cannot write"):
        write_folder(tmp_path / "file" / "production", folder_files(OBJECTS, None))
