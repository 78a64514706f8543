"""Which digests are used again, and which files are read again."""

import json
import os
import time

import pytest

from tests.paths import PROJECT
from tritonops.models.disk import digest_cache
from tritonops.models.disk.digest_cache import SETTLED_NS, DigestCache

OLD = PROJECT / "LICENSE"
"""A file that nobody has touched for two seconds."""


@pytest.fixture
def cache_file(tmp_path):
    return tmp_path / "digests.json"


@pytest.fixture
def settled(monkeypatch):
    """Every file counts as old enough."""
    monkeypatch.setattr(digest_cache, "SETTLED_NS", -(10**18))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"weights")
    return path


def saved(cache_file, *files, **options):
    """Read files, and give what the next run knows."""
    cache = DigestCache(cache_file)
    for file in files:
        cache.sha256(file)
    cache.save()
    return DigestCache(cache_file, **options)


def test_the_next_run_knows_an_old_file_without_reading_it(cache_file):
    assert OLD.stat().st_ctime_ns < time.time_ns() - SETTLED_NS
    assert saved(cache_file, OLD).known(OLD) == DigestCache(cache_file.with_name("none")).sha256(OLD)


def test_a_file_that_changed_within_two_seconds_is_read_again_by_the_next_run(cache_file, file):
    assert saved(cache_file, file).known(file) is None


def test_within_one_run_a_file_is_read_once(cache_file, file):
    cache = DigestCache(cache_file)
    assert cache.known(file) is None
    assert cache.sha256(file) == cache.known(file)


def test_verify_ignores_what_was_saved(cache_file):
    assert saved(cache_file, OLD, trust_saved=False).known(OLD) is None


def in_place_with_the_same_times(file):
    before = file.stat()
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_a_rename_with_the_same_times(file):
    other = file.with_name("other")
    other.write_bytes(b"WEIGHTS")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)


def by_a_link_to_another_file(file):
    other = file.with_name("other")
    other.write_bytes(b"WEIGHTS")
    file.unlink()
    file.symlink_to(other)


@pytest.mark.parametrize(
    "change", [in_place_with_the_same_times, by_a_rename_with_the_same_times, by_a_link_to_another_file]
)
def test_a_changed_file_of_the_same_size_is_not_known(cache_file, file, settled, change):
    cache = saved(cache_file, file)
    assert cache.known(file)
    digest, ctime = cache.sha256(file), file.stat().st_ctime_ns
    deadline = time.monotonic() + 5
    while probe_ctime(file.parent) <= ctime and time.monotonic() < deadline:
        pass  # until the filesystem's clock has ticked
    change(file)
    assert cache.known(file) is None
    assert not cache.matches(file, 7, digest)


def probe_ctime(folder):
    probe = folder / "probe"
    probe.write_bytes(b"")
    probe.chmod(0o600)
    return probe.stat().st_ctime_ns


def test_links_to_one_file_share_a_digest(cache_file, file, settled):
    link = file.with_name("link")
    link.hardlink_to(file)
    assert saved(cache_file, file).known(link)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "[1]", '{"a": 1}', "[[1, 2, 3, 4, 5]]", '[[[], 2, 3, 4, 5, "6"]]', '"text"', "\0", "null"],
)
def test_a_cache_that_is_none_is_empty(cache_file, text):
    cache_file.write_text(text)
    assert DigestCache(cache_file).known(OLD) is None
    assert saved(cache_file, OLD).known(OLD)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    assert saved(tmp_path / "file" / "digests.json", OLD).known(OLD) is None


def test_only_so_many_digests_are_kept(cache_file, tmp_path, settled, monkeypatch):
    monkeypatch.setattr(digest_cache, "MAX_ENTRIES", 3)
    files = [tmp_path / str(number) for number in range(5)]
    for number, path in enumerate(files):
        path.write_text(str(number))
    saved(cache_file, *files)
    assert len(json.loads(cache_file.read_text())) == 3


def test_a_pipe_or_a_folder_is_no_file(cache_file, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none"):
        assert not DigestCache(cache_file).matches(path, 0, "")
        with pytest.raises(OSError, match=str(path)):
            DigestCache(cache_file).sha256(path)
