"""Whole downloads with real threads and a Hub, without models."""

import hashlib
import random
import threading
import time

import pytest

from tests.hub.faults import Fault
from tests.hub.server import Link
from tests.models.transfer.test_file_content import Folder
from tritonops.errors import SourceError
from tritonops.models.http.address_with_token import Address
from tritonops.models.http.transport import Transport
from tritonops.models.transfer.downloader import Downloader
from tritonops.models.transfer.progress import Progress
from tritonops.models.transfer.remote_file import RemoteFile
from tritonops.models.transfer.storage import StorageError

CONTENT = random.Random(11).randbytes(5 << 20)


class FastClock:
    """A clock on which waiting takes no time."""

    def now(self):
        return time.monotonic()

    def wait(self, seconds):
        time.sleep(seconds / 100)


@pytest.fixture
def transport():
    opened = Transport(max_connections=8, stall_seconds=30.0, on_wait=lambda text: None, environ={}, clock=FastClock())
    yield opened
    opened.close()


@pytest.fixture
def file(hub):
    hub.push("team/large", {"model.onnx": CONTENT})
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    address = Address(f"{hub.endpoint}/team/large/resolve/main/model.onnx")
    return RemoteFile("large/1", "model.onnx", len(CONTENT), address, sha256)


def downloader(storage, transport, *, on_stored=lambda keys: None, progress=None):
    return Downloader(storage, transport, progress or Progress(), max_connections=8, on_stored=on_stored)


def test_a_file_is_fetched_and_reported_in_the_callers_thread(hub, transport, file, tmp_path):
    threads = []

    def on_stored(keys):
        threads.append((threading.current_thread(), list(keys)))

    engine = downloader(Folder(tmp_path), transport, on_stored=on_stored)
    assert engine.fetch([file, file]) == {file.key: file.sha256}
    assert threads == [(threading.main_thread(), [file.key])]
    assert engine.received == len(CONTENT)
    assert (tmp_path / str(file.sha256)).read_bytes() == CONTENT


def test_a_storm_of_503_passes(hub, transport, file, tmp_path):
    hub.link = Link(latency=0.02)
    for where, times in {"/resolve/": 4, "/cdn/": 12}.items():
        hub.faults.add(Fault("status", where=where, times=times))
    assert downloader(Folder(tmp_path), transport).fetch([file]) == {file.key: file.sha256}


def test_a_file_that_is_not_there_does_not_keep_others_from_being_fetched(hub, transport, file, tmp_path):
    missing = RemoteFile("gone/1", "x", 5, Address(f"{hub.endpoint}/team/large/resolve/main/x"), "0" * 64)
    results = downloader(Folder(tmp_path), transport).fetch([missing, file])
    assert results[file.key] == file.sha256
    assert isinstance(results[missing.key], SourceError)


def test_a_disk_that_cannot_be_written_ends_the_download(hub, transport, file, tmp_path):
    class Broken(Folder):
        def partial(self, key):
            raise OSError(5, "Input/output error")

    with pytest.raises(StorageError, match="Input/output error"):
        downloader(Broken(tmp_path), transport).fetch([file])


def test_a_bug_is_raised_and_not_taken_for_a_file_in_flight(hub, transport, file, tmp_path):
    class Wrong(Folder):
        def keep(self, file, sha256):
            raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        downloader(Wrong(tmp_path), transport).fetch([file])
