"""Bad networks, bad servers and full disks: each ends in the right bytes, or in an error that says what happened."""

import os
import random
import subprocess
import sys
import threading
import time

import pytest

from tests.hub.faults import Fault
from tests.hub.server import Link
from tests.models.catalogs import files_below, one_file, one_folder, write
from tritonops.errors import StoreError
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.disk.store import Store
from tritonops.models.download import download
from tritonops.models.sources.fetcher import Fetcher
from tritonops.models.sources.hub_address import Hub
from tritonops.models.sources.listing import Listing
from tritonops.models.transfer.progress import Progress
from tritonops.project import Project

MB = 1 << 20
CONTENT = random.Random(3).randbytes(9 * MB)


@pytest.fixture
def large(hub, project):
    hub.link = Link(latency=0.02)  # over a longer way a file comes in several pieces
    hub.push("team/large", {"model.onnx": CONTENT})
    return write(project, one_file("large", "team/large"))


def assert_installed(settings, content=CONTENT):
    assert files_below(settings.models_dir) == {"large/1/model.onnx": content}


def test_a_connection_that_drops_every_megabyte(hub, large):
    hub.faults.add(Fault("drop", times=1000, after=MB))
    assert download(Project(large), max_connections=2).failed == ()
    assert_installed(large)
    assert hub.body_bytes <= 1.5 * len(CONTENT)


def test_a_body_that_is_cut_short(hub, large):
    hub.faults.add(Fault("drop", times=3, after=1000))
    assert download(Project(large)).failed == ()
    assert_installed(large)


def test_429_is_obeyed_for_as_long_as_it_says(hub, large):
    hub.faults.add(Fault("status", status=429, headers={"Retry-After": "1"}, times=1))
    started = time.monotonic()
    assert download(Project(large)).failed == ()
    assert time.monotonic() - started >= 1.0
    assert_installed(large)


def test_429_on_the_listing_is_obeyed_too(hub, large):
    hub.faults.add(Fault("status", where="/api/", status=429, headers={"Retry-After": "1"}))
    assert download(Project(large)).failed == ()
    assert len(hub.requests("/api/")) == 2


def test_a_server_that_asks_to_wait_for_hours_is_given_up_with_the_reason(hub, large):
    hub.faults.add(Fault("status", status=503, headers={"Retry-After": "7200"}, times=100))
    [failure] = download(Project(large)).failed
    assert "7200 seconds" in failure.error


def test_one_flipped_byte_is_refused_and_fetched_again_once(hub, large):
    hub.faults.add(Fault("flip", times=1, after=0))
    assert (
        download(Project(large), max_connections=1).failed == ()
    )  # so that no connection helps another, at the cost of a few bytes
    assert_installed(large)
    assert hub.body_bytes == 2 * len(CONTENT)


def test_a_byte_that_is_flipped_every_time_ends_in_an_error_that_names_the_file(hub, large):
    hub.faults.add(Fault("flip", times=1000, after=0))
    [failure] = download(Project(large)).failed
    assert "large/1/model.onnx" in failure.error
    assert "another hash" in failure.error
    assert files_below(large.models_dir) == {}
    assert not list(large.store_dir.glob("?" * 64))


def test_a_server_that_ignores_range_is_read_in_one_piece(hub, large):
    hub.faults.add(Fault("ignore-range", where="/", times=1000))
    assert download(Project(large)).failed == ()
    assert_installed(large)
    assert hub.body_bytes <= 1.5 * len(CONTENT)


def test_a_server_that_ignores_range_although_the_redirect_to_it_vouched_for_ranges(hub, large):
    hub.faults.add(Fault("ignore-range", times=1000))
    assert download(Project(large)).failed == ()
    assert_installed(large)
    asked = hub.requests("/cdn/")
    assert len(asked) <= len(CONTENT) // MB + 1  # each piece once, before the first answer showed it; then the whole


def test_a_server_that_ignores_range_and_drops_the_connection_is_read_past_what_is_there(hub, large):
    hub.faults.add(Fault("drop", times=1, after=4 * MB))
    hub.faults.add(Fault("ignore-range", times=1000))
    assert download(Project(large), max_connections=1).failed == ()
    assert_installed(large)


def test_a_signed_url_that_expires_is_asked_for_again(hub, large):
    hub.signed_url_uses = 2
    assert download(Project(large), max_connections=8).failed == ()
    assert_installed(large)
    assert len(hub.requests("/resolve/")) > 2


def test_a_file_that_changes_under_way_is_started_over_once(hub, large):
    hub.faults.add(Fault("etag", times=1))
    assert download(Project(large)).failed == ()
    assert_installed(large)


def test_a_file_that_keeps_changing_is_refused_with_the_reason(hub, large):
    for _ in range(200):
        hub.faults.add(Fault("etag", times=1))
        hub.faults.add(Fault("drop", times=1, after=10))
    [failure] = download(Project(large), max_connections=2).failed
    assert "changed during the download" in failure.error


def test_a_file_of_another_length_is_refused_with_both_lengths(hub, large):
    hub.faults.add(Fault("length", times=1000))
    [failure] = download(Project(large)).failed
    assert f"{len(CONTENT) + 1:,} bytes long there, and {len(CONTENT):,} are expected" in failure.error


def test_a_stalled_connection_is_given_up_and_its_piece_fetched_on_another(hub, large):
    hub.faults.add(Fault("stall", times=2, after=1000))
    store = Store(large.store_dir)
    with Fetcher(store, Hub(hub.endpoint, None), Progress(), environ={}, stall_seconds=1.0) as fetcher:
        listing = fetcher.list_files(load_catalog(large.models_toml).versions)["large/1"]
        assert isinstance(listing, Listing)
        store.root.mkdir()
        started = time.monotonic()
        outcomes = fetcher.fetch(listing.files)
    assert time.monotonic() - started < 5
    [sha256] = outcomes.values()
    assert store.blob(str(sha256)).read_bytes() == CONTENT


def test_a_connection_that_is_far_slower_than_the_others_is_helped(hub, large):
    hub.faults.add(Fault("slow", times=1, after=200_000))
    started = time.monotonic()
    assert download(Project(large), max_connections=4).failed == ()
    assert time.monotonic() - started < 0.5 * len(CONTENT) / 4 / 200_000
    assert_installed(large)
    assert hub.body_bytes <= 1.5 * len(CONTENT)


def test_a_server_that_is_not_there_is_named(hub, project):
    write(project, f'[[models.x]]\nurl = "http://127.0.0.1:9/x.onnx"\nsha256 = "{"0" * 64}"\ntriton_version = 1\n')
    [failure] = download(Project(project)).failed
    assert "http://127.0.0.1:9/x.onnx: connection refused" in failure.error


@pytest.fixture
def small_disk(project, tmp_path):
    """A tmpfs of 24 MB with the project on it. Mounting needs root, which CI is."""
    if os.geteuid() != 0 and not os.environ.get("CI"):
        pytest.skip("mounting a tmpfs needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", project.project], check=True)
    yield project
    subprocess.run(["umount", project.project], check=True)


def test_a_disk_that_is_too_small_is_refused_before_the_first_byte(hub, small_disk):
    hub.push("team/huge", {"model.onnx": bytes(25 * MB)})
    write(small_disk, one_file("huge", "team/huge"))
    with pytest.raises(StoreError, match="26,214,400 bytes are needed"):
        download(Project(small_disk))
    assert hub.body_bytes == 0


def test_a_disk_that_fills_up_under_way_leaves_what_can_be_resumed(hub, small_disk):
    hub.push("team/large", {"model.onnx": CONTENT})
    hub.push("team/other", {"model.onnx": CONTENT[::-1]})
    write(small_disk, one_file("large", "team/large"), one_file("other", "team/other"))
    hub.link = Link(bytes_per_second=10e6)
    filler = small_disk.project / "filler"

    def fill():
        while hub.body_bytes < 2 * MB:
            time.sleep(0.01)
        filler.write_bytes(bytes(10 * MB))

    filling = threading.Thread(target=fill)
    filling.start()
    with pytest.raises(StoreError, match="not enough space") as caught:
        download(Project(small_disk), max_connections=1)
    filling.join()
    assert "kept" in caught.value.in_one_line
    filler.unlink()
    assert download(Project(small_disk)).downloaded == ("other/1",)  # the other was complete, and installed, by then
    assert files_below(small_disk.models_dir) == {"large/1/model.onnx": CONTENT, "other/1/model.onnx": CONTENT[::-1]}
    assert hub.body_bytes <= 2.2 * len(CONTENT)


MEASURE = """
import os, re
from pathlib import Path
from tritonops.models.download import download
from tritonops.project import Project
result = download(Project.load(Path(os.environ["PROJECT"])))
# Not ru_maxrss: that remembers the process which this one was forked from.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(result.bytes, peak[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_a_large_model_takes_little_memory(hub, project, tmp_path):
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(300 * MB)
    hub.push("team/large", {"model.onnx": sparse})
    write(project, one_file("large", "team/large"))
    env = {"PATH": os.environ["PATH"], "PROJECT": str(project.project), "HF_ENDPOINT": hub.endpoint}
    done = subprocess.run([sys.executable, "-c", MEASURE], env=env, check=True, capture_output=True, text=True)
    fetched, peak = map(int, done.stdout.split())
    assert fetched == 300 * MB
    assert peak * 1024 < 150e6


class InterruptedAt(Progress):
    """Ctrl-C when so many files have come."""

    def __init__(self, count: int) -> None:
        self.left = count

    def arrived(self, transfer):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_a_version_that_is_not_pinned_yet_is_not_left_behind_by_an_interruption(hub, project):
    hub.push("team/mixed", {"onnx/model.onnx": CONTENT}, small={"onnx/config.json": b"{}" * 100})
    hub.push("team/small", {"model.onnx": b"x"})
    write(project, one_folder("mixed", "team/mixed"), one_file("small", "team/small"))
    with pytest.raises(KeyboardInterrupt):
        download(Project(project), max_connections=1, progress=InterruptedAt(3))
    assert not project.models_dir.exists()
    hub.push("team/mixed", {"onnx/model.onnx": CONTENT[::-1]}, small={"onnx/config.json": b"{}" * 100})
    assert sorted(download(Project(project)).downloaded) == ["mixed/1", "small/1"]
