"""The bytes of the working tree, by name, link, executable bit and SHA-256."""

from __future__ import annotations

import os

import pytest

from tests.remote.client.repository import (
    AS_COMMITTED,
    NAMES,
    is_changed,
    sent,
    sha256,
)
from tests.remote.sshd import wait_until
from tritonops.errors import InputError
from tritonops.remote.client.checkout import read_checkout
from tritonops.remote.client.manifest import LARGE


def test_any_file_name_is_sent(repository):
    for name in NAMES:
        repository.write(name, name)
    repository.commit("Names")
    assert not is_changed(repository.folder)
    expected = {os.fsdecode(name): sha256(name) for name in NAMES}
    assert sent(repository.folder) == AS_COMMITTED | expected
    repository.write(NAMES[4], "edited")
    assert is_changed(repository.folder)


@pytest.mark.parametrize(
    "settings", [{"core.autocrlf": "true"}, {"filter.big.clean": "echo pointer", "filter.big.smudge": "cat"}]
)
def test_the_bytes_of_the_working_tree_are_sent_not_those_of_gits_filters(repository, settings):
    for key, value in settings.items():
        repository.git("config", key, value)
    repository.write(".gitattributes", "*.bin filter=big\n")
    repository.write("weights.bin", b"weights\r\n\0")
    repository.write("docs/a.md", b"a\r\n")
    repository.commit("Filtered")
    assert sent(repository.folder)["weights.bin"] == sha256(b"weights\r\n\0")
    assert sent(repository.folder)["docs/a.md"] == sha256(b"a\r\n")
    assert not is_changed(repository.folder)


def test_a_large_file_whose_digest_is_remembered_is_read_again_once_its_bytes_are_others(repository):
    content = "1" * LARGE
    repository.write("weights.onnx", content)
    repository.commit("Large")
    remembered = repository.folder / ".store/digests.json"
    wait_until(lambda: sent(repository.folder)["weights.onnx"] == sha256(content) and remembered.exists(), "a cache")
    repository.edit_unseen("weights.onnx", "2" * LARGE)
    assert sent(repository.folder)["weights.onnx"] == sha256("2" * LARGE)
    assert is_changed(repository.folder)


def test_links_are_sent_as_links_and_what_lies_behind_a_linked_folder_is_not(repository, tmp_path):
    (repository.folder / "link").symlink_to("docs/a.md")
    repository.commit("A link")
    assert sent(repository.folder) == AS_COMMITTED | {"link": "docs/a.md"}
    assert not is_changed(repository.folder)
    (repository.folder / "docs").rename(tmp_path / "moved")
    (repository.folder / "docs").symlink_to(tmp_path / "moved")
    assert "docs/a.md" not in sent(repository.folder)


def test_an_executable_bit_alone_is_another_release(repository):
    before = read_checkout(repository.folder).manifest.digest
    (repository.folder / "config.pbtxt").chmod(0o755)
    assert read_checkout(repository.folder).manifest.digest != before
    assert is_changed(repository.folder)


MARKERS = "<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> other\n"


@pytest.mark.parametrize("text", [MARKERS, f"before\n{MARKERS}after\n", MARKERS.replace("\n", "\r\n")])
def test_conflict_markers_in_a_file_that_is_sent_are_refused(repository, text):
    repository.write("docs/a.md", text)
    repository.commit("Oh no")
    with pytest.raises(InputError, match=r"docs/a\.md has conflict markers"):
        read_checkout(repository.folder)


@pytest.mark.parametrize(
    "text", ["Title\n=======\n", "    <<<<<<< HEAD\n    =======\n    >>>>>>> other\n", "<<<<<<< x\n"]
)
def test_what_only_looks_like_conflict_markers_is_sent(repository, text):
    repository.write("docs/a.md", text)
    assert sent(repository.folder)["docs/a.md"] == sha256(text)


def test_a_pointer_of_git_lfs_is_refused(repository):
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    repository.write("models/model.onnx", pointer)
    repository.commit("Large")
    with pytest.raises(InputError, match=r"model\.onnx is a pointer of Git LFS") as caught:
        read_checkout(repository.folder)
    assert caught.value.hint == "git lfs pull"
