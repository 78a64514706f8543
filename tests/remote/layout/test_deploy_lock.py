"""The deploy lock: one process at a time, and its owner by name."""

from __future__ import annotations

import os

import pytest

from tritonops.errors import HostLockedError, LockingError
from tritonops.remote.layout.deploy_lock import LockOwner, deploy_lock, parse_lock_owner


def test_a_lock_whose_process_has_died_is_free_and_one_of_a_person_is_not(tmp_path):
    lock = tmp_path / "lock"
    lock.write_text('{"who": "a", "since": "b", "what": "c", "pid": 1}')
    with deploy_lock(lock, LockOwner("me", "now", "deploy", os.getpid())):
        pass
    lock.write_text('{"who": "a", "since": "b", "what": "c", "pid": null}')
    with (
        pytest.raises(HostLockedError, match="locked by a"),
        deploy_lock(lock, LockOwner("me", "now", "deploy", os.getpid())),
    ):
        pass


def test_a_lock_that_is_taken_is_refused_with_its_owner_and_free_after_the_block(tmp_path):
    lock, owner = tmp_path / "lock", LockOwner("ann@laptop", "2026", "deploy of r1", os.getpid())
    with (
        deploy_lock(lock, owner),
        pytest.raises(HostLockedError, match="locked by ann@laptop, since 2026: deploy of r1") as caught,
        deploy_lock(lock, LockOwner("me", "now", "deploy", os.getpid())),
    ):
        pass
    assert "It ends by itself" in str(caught.value.hint)
    assert lock.read_text() == ""


@pytest.mark.parametrize(("text", "who"), [("", None), ("  \n", None), ("{", "somebody"), ('{"who": 1}', "somebody")])
def test_a_lock_file_that_cannot_be_read_has_an_owner_all_the_same(text, who):
    owner = parse_lock_owner(text)
    assert (owner.who if owner else None) == who


def test_a_filesystem_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(LockingError), deploy_lock(tmp_path / "lock", LockOwner("me", "now", "deploy")):
        pass
