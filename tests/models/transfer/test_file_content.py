"""Bytes on disk, hashed as they arrive."""

import hashlib

import pytest

from tritonops.models.http.address_with_token import Address
from tritonops.models.transfer.file_content import FileContent
from tritonops.models.transfer.remote_file import RemoteFile

DATA = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()
GIT = hashlib.sha1(f"blob {len(DATA)}\0".encode() + DATA).hexdigest()


class Folder:
    """A storage that is a folder."""

    def __init__(self, root):
        self.root, self.kept = root, []

    def partial(self, key):
        return self.root / f"{key}.partial"

    def keep(self, file, sha256):
        self.kept.append(sha256)
        return file.rename(self.root / sha256)


def content(folder, sha256=SHA256, git_oid=None):
    file = RemoteFile("m/1", "model.onnx", len(DATA), Address("https://x"), sha256, git_oid)
    opened = FileContent(file, folder)
    assert opened.open() == []
    return opened


@pytest.mark.parametrize("hashes", [{}, {"sha256": None, "git_oid": GIT}], ids=["sha256", "git"])
def test_a_file_is_stored_under_its_sha256(tmp_path, hashes):
    folder = Folder(tmp_path)
    file = content(folder, **hashes)
    file.write(0, memoryview(DATA))
    file.hash_interval((0, len(DATA)), memoryview(bytearray(10_000)))
    assert file.store() == SHA256
    assert (tmp_path / SHA256).read_bytes() == DATA
    assert folder.kept == [SHA256]


def test_wrong_bytes_are_not_stored_and_hashing_starts_over_with_them(tmp_path):
    folder = Folder(tmp_path)
    file = content(folder)
    file.hash(memoryview(DATA[::-1]))
    assert file.store() is None
    file.reset()
    file.write(0, memoryview(DATA))
    file.hash(memoryview(DATA))
    assert file.store() == SHA256
    file.close()


def test_a_closed_file_is_opened_by_the_next_run_where_it_was(tmp_path):
    folder = Folder(tmp_path)
    first = content(folder)
    first.write(5, memoryview(DATA[5:100]))
    first.close()
    again = FileContent(first._file, folder)
    assert again.open() == [(5, 100)]
    again.close()
