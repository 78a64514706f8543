"""Versions in batches, and those that are complete as files arrive."""

from types import SimpleNamespace

from tritonops.models.catalog.lockfile import LockedVersion
from tritonops.models.http.address_with_token import Address
from tritonops.models.install.pending_versions import PendingVersions
from tritonops.models.install.version_installer import batches
from tritonops.models.sources.listing import Listing
from tritonops.models.transfer.remote_file import RemoteFile


def pin(name, version=1):
    return LockedVersion(name, version, "hf:x", None, ())


def listing(label, *hashes):
    version = SimpleNamespace(label=label)
    files = tuple(RemoteFile(label, f"{each}", 1, Address("https://x"), each, "git") for each in hashes)
    return Listing(version, None, files)  # type: ignore[arg-type]


def test_a_batch_has_one_version_of_a_model():
    found = [sorted(batch) for batch in batches([pin("a", 1), pin("a", 2), pin("b", 1), pin("a", 3)])]
    assert found == [["a/1", "b/1"], ["a/2"], ["a/3"]]


def test_a_batch_has_at_most_sixteen_versions():
    assert [len(batch) for batch in batches([pin(f"m{number}") for number in range(40)])] == [16, 16, 8]


def test_a_version_is_complete_with_its_last_file():
    both, one = listing("both/1", "a", "b"), listing("one/1", "b")
    pending = PendingVersions([both, one], {"a", "b"})
    assert pending.arrived(["a"]) == []
    assert pending.arrived(["b"]) == [both, one]


def test_files_that_are_stored_already_are_not_waited_for():
    version = listing("x/1", "a", "b")
    assert PendingVersions([version], {"b"}).arrived(["b"]) == [version]


def test_a_version_with_unknown_hashes_waits_for_the_end():
    assert PendingVersions([listing("x/1", "a", None)], {"a", "git-git"}).arrived(["a", "git-git"]) == []
