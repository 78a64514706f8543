"""The private folder of the connections of a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tritonops.remote.ssh import session_folder
from tritonops.remote.ssh.session_folder import SessionFolder


@pytest.fixture
def base(tmp_path, monkeypatch) -> Path:
    folder = Path(tmp_path, "t")
    folder.mkdir()
    monkeypatch.setattr(session_folder, "temporary_dir", lambda: folder)
    monkeypatch.setattr(session_folder, "_LONGEST", 200)
    return folder


def test_it_is_private_and_gone_afterwards(base):
    made = SessionFolder()
    assert made.path.parent == base
    assert made.path.stat().st_mode & 0o777 == 0o700
    (made.path / "log").touch()
    made.remove()
    assert not [*base.iterdir()]


def stale(base: Path, *, lock: bool = True, old: bool = True) -> Path:
    folder = base / f"tritonops-ssh-{lock}-{old}"
    folder.mkdir()
    (folder / "log").touch()
    if lock:
        (folder / "lock").touch()
    if old:
        os.utime(folder, (0, 0))
    return folder


def test_folders_of_processes_that_have_ended_are_removed_and_no_others(base):
    left, without_lock, new = stale(base), stale(base, lock=False), stale(base, lock=False, old=False)
    session_folder._remove_stale.cache_clear()
    mine = SessionFolder()
    assert (left.exists(), without_lock.exists(), new.exists()) == (False, False, True)
    os.utime(mine.path, (0, 0))
    program = f"import fcntl, os; fcntl.flock(os.open({str(mine.path / 'lock')!r}, os.O_RDWR), 6)"  # LOCK_EX | LOCK_NB
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode
    session_folder._remove_stale.cache_clear()
    SessionFolder().remove()
    assert mine.path.exists()
    mine.remove()


def test_a_folder_whose_lock_cannot_be_made_is_not_left(base, monkeypatch):
    def refuse(*arguments: object, **options: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="Too many"):
        SessionFolder()
    assert not [*base.iterdir()]


def test_all_users_share_one_folder_which_goes_with_the_last(base):
    first, second = SessionFolder.enter("one"), SessionFolder.enter("two")
    assert first is second
    log, other = first.path_of("log"), first.path_of("log")
    log.touch()
    other.touch()
    first.leave("one", [log])
    first.leave("one", [other])  # a second time
    assert (log.exists(), other.exists()) == (False, True)
    second.leave("two", [other])
    assert not [*base.iterdir()]
    another = SessionFolder.enter("one")
    assert another.path != first.path
    another.leave("one", [])
    assert not [*base.iterdir()]


def test_a_configuration_is_written_once_for_all_users_of_it(base, tmp_path):
    own = tmp_path / "ssh_config"
    own.write_text("Host a\n")
    folder = SessionFolder.enter("one")
    assert folder.config(own) == folder.config(own) != folder.config(None)
    assert str(own) in folder.config(own).read_text()
    assert "~/.ssh/config" in folder.config(None).read_text()
    folder.leave("one", [])
