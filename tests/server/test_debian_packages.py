"""Packages from an archive on disk, by the real apt-get and dpkg."""

import concurrent.futures

import pytest

from tritonops.errors import PackagesUnavailableError
from tritonops.server.debian_packages import cached, fetch


def test_a_package_is_unpacked_into_the_cache_and_nothing_else_is_left_there(debian):
    path = debian.add("tritonops-a", "usr/bin/a")
    assert cached(["tritonops-a"]) is None
    folder = fetch(["tritonops-a"])
    assert folder == cached(["tritonops-a"]) == debian.packages / "tritonops-a"
    assert (folder / path).read_text() == "tritonops-a"
    assert sorted(entry.name for entry in debian.packages.iterdir()) == ["tritonops-a", "tritonops-a.lock"]


def test_dependencies_come_along_where_they_are_asked_for(debian):
    path = debian.add("tritonops-lib", "usr/lib/lib")
    debian.add("tritonops-a", "usr/bin/a", depends="tritonops-lib")
    assert not (fetch(["tritonops-a"]) / path).exists()
    debian.add("tritonops-b", "usr/bin/b", depends="tritonops-lib")
    folder = fetch(["tritonops-a", "tritonops-b"], dependencies=True)
    assert all((folder / name).exists() for name in (path, "usr/bin/a", "usr/bin/b"))


def test_two_fetches_at_once_do_the_work_once(debian):
    debian.add("tritonops-a", "usr/bin/a")
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        folders = list(pool.map(lambda _: (fetch(["tritonops-a"]) / "usr/bin/a").stat().st_ino, range(3)))
    assert len(set(folders)) == 1


def test_an_unknown_package_and_a_broken_archive_are_errors_that_leave_nothing_behind(debian):
    with pytest.raises(PackagesUnavailableError, match="Unable to locate package tritonops-none"):
        fetch(["tritonops-none"])
    debian.add("tritonops-a", "usr/bin/a")
    with (debian.archive / "tritonops-a.deb").open("ab") as deb:
        deb.write(b"more")
    with pytest.raises(PackagesUnavailableError, match="tritonops-a"):
        fetch(["tritonops-a"])
    assert not [entry for entry in debian.packages.iterdir() if entry.is_dir()]


def test_a_cache_that_cannot_be_written_is_an_error(debian):
    debian.cache.write_text("not a folder")
    with pytest.raises(PackagesUnavailableError, match="cannot write to"):
        fetch(["tritonops-a"])
