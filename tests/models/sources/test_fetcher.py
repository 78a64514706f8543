"""The fetcher, where no network is needed."""

import hashlib

import pytest

from tritonops.errors import SourceError
from tritonops.models.disk.store import Store
from tritonops.models.http.address_with_token import Address
from tritonops.models.sources.fetcher import Fetcher
from tritonops.models.sources.hub_address import Hub
from tritonops.models.transfer.progress import Progress
from tritonops.models.transfer.remote_file import RemoteFile

DATA = b"weights"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / ".store"
    folder.mkdir()
    return Store(folder)


@pytest.fixture
def local(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(DATA)
    return path


def fetcher(store, *, is_offline=False):
    return Fetcher(store, Hub("https://hub.example", None, is_offline=is_offline), Progress(), environ={})


def test_a_local_file_is_copied_into_the_store(store, local):
    with fetcher(store) as opened:
        results = opened.fetch([RemoteFile("one/1", "model.onnx", len(DATA), local, SHA256)])
    assert results == {SHA256: SHA256}
    assert store.has(SHA256)
    assert opened.received == len(DATA)


def test_a_local_file_with_other_bytes_is_refused(store, local):
    with fetcher(store) as opened:
        results = opened.fetch([RemoteFile("one/1", "model.onnx", len(DATA), local, "0" * 64)])
    assert isinstance(results["0" * 64], SourceError)
    assert opened.received == 0


def test_only_files_that_are_not_stored_are_missing(store, local):
    store.copy_in(local, SHA256)
    files = [RemoteFile("one/1", "model.onnx", 7, local, each, "g") for each in (SHA256, "0" * 64, None)]
    with fetcher(store) as opened:
        assert list(opened.missing_files(files)) == ["0" * 64, "git-g"]


def test_offline_each_file_that_is_not_stored_is_named(store):
    file = RemoteFile("one/1", "model.onnx", 7, Address("https://hub.example/x"), SHA256)
    with fetcher(store, is_offline=True) as opened:
        results = opened.fetch([file])
    assert "one/1/model.onnx is not stored here" in str(results[SHA256])
