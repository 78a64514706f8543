"""Locks: one process at a time, named to the others, on filesystems without flock too."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from tests.faults.injection import failing
from tests.paths import PROJECT
from tests.processes import output_of, python, wait_for
from tritonops.file_lock import locked, start_time

NO_FLOCK = "ENOLCK ENOSYS ENOTSUP EOPNOTSUPP EINVAL"


HOST = os.uname().nodename


OWNER = """
    import sys
    from pathlib import Path
    from tritonops.file_lock import locked
    with locked(Path(sys.argv[1])):
        print("locked", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path):
    """Start processes that have the lock until they are told to end: `owner(env)`."""
    started = []

    def start(env=None):
        command = [sys.executable, "-c", textwrap.dedent(OWNER), str(tmp_path / "lock")]
        process = subprocess.Popen(
            command, cwd=PROJECT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "locked\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def locked_in_a_thread(path):
    """Lock in a thread; returns it, and what it was told and did."""
    events: list[str] = []

    def run():
        with locked(path, on_wait=events.append):
            events.append("locked")

    thread = threading.Thread(target=run)
    thread.start()
    return thread, events


def test_the_second_waits_and_is_told_the_owner(owner, tmp_path):
    process = owner()
    thread, events = locked_in_a_thread(tmp_path / "lock")
    wait_for(lambda: events)
    assert events == [f"process {process.pid} on {HOST}"]
    process.stdin.close()
    thread.join(30)
    assert events[1:] == ["locked"]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_of_a_process_that_was_killed_is_free(owner, tmp_path, end):
    process = owner()
    process.send_signal(end)
    process.wait()
    events: list[str] = []
    with locked(tmp_path / "lock", on_wait=events.append):
        assert events == []


def test_threads_of_one_process_wait_for_each_other(tmp_path):
    with locked(tmp_path / "lock"):
        thread, events = locked_in_a_thread(tmp_path / "lock")
        wait_for(lambda: events)
    thread.join(30)
    assert events == [f"process {os.getpid()} on {HOST}", "locked"]


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_again(owner, tmp_path):
    process = owner()
    thread, events = locked_in_a_thread(tmp_path / "lock")
    wait_for(lambda: events)
    (tmp_path / "lock").unlink()
    second = owner()
    process.stdin.close()
    wait_for(lambda: len(events) == 2)
    assert events[1] == f"process {second.pid} on {HOST}"
    second.stdin.close()
    thread.join(30)
    assert events[2:] == ["locked"]


def test_no_link_is_written_through_and_odd_files_are_an_error_of_the_system(tmp_path):
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "link").symlink_to("victim")
    (tmp_path / "folder").mkdir()
    for name in ("link", "folder", "nothing/lock"):
        with pytest.raises(OSError, match=r".+"), locked(tmp_path / name):
            raise AssertionError(name)
    assert (tmp_path / "victim").read_text() == "kept"


@pytest.mark.parametrize(("folder_mode", "mode"), [(0o700, 0o600), (0o755, 0o644), (0o2775, 0o664), (0o777, 0o666)])
def test_whoever_may_write_to_the_folder_may_lock(tmp_path, folder_mode, mode):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(folder_mode)
    before = os.umask(0o077)
    try:
        with locked(folder / "lock"):
            pass
    finally:
        os.umask(before)
    assert (folder / "lock").stat().st_mode & 0o777 == mode


def test_a_full_disk_keeps_nobody_from_locking():
    with locked(Path("/dev/full")):
        pass


@pytest.mark.parametrize("name", NO_FLOCK.split())
def test_without_flock_a_link_is_the_lock(owner, tmp_path, name):
    (tmp_path / "so").mkdir()
    env = failing(tmp_path / "so", flock=getattr(errno, name))
    process = owner(env)
    assert str(process.pid) in str((tmp_path / "lock.owner").readlink())
    waiting = python(
        """
        import sys
        from pathlib import Path
        from tritonops.file_lock import locked
        with locked(Path(sys.argv[1]), on_wait=lambda owner: print(owner, flush=True)):
            print("locked")
        """,
        tmp_path / "lock",
        env=env,
    )
    assert waiting.stdout.readline().startswith(f"process {process.pid} on {HOST}; if it has ended, remove ")
    process.stdin.close()
    assert output_of(waiting) == "locked\n"
    assert not (tmp_path / "lock.owner").is_symlink()


def test_without_flock_the_lock_of_a_killed_process_goes_to_one_of_those_who_wait(owner, tmp_path):
    (tmp_path / "so").mkdir()
    env = failing(tmp_path / "so", flock=errno.ENOLCK)
    process = owner(env)
    process.kill()
    process.wait()
    assert (tmp_path / "lock.owner").is_symlink()
    script = """
        import sys
        from pathlib import Path
        from tritonops.file_lock import locked
        count = Path(sys.argv[2])
        for _ in range(5):
            with locked(Path(sys.argv[1])):
                before = int(count.read_text())
                count.write_text(str(before + 1))
    """
    (tmp_path / "count").write_text("0")
    for each in [python(script, tmp_path / "lock", tmp_path / "count", env=env) for _ in range(4)]:
        output_of(each)
    assert (tmp_path / "count").read_text() == "20"
    assert not (tmp_path / "lock.owner").is_symlink()


@pytest.mark.parametrize(
    ("pid", "started", "namespace", "host", "is_free"),
    [
        (os.getpid(), 1, "", HOST, True),  # a later process with the same id
        (4_194_305, 1, "", HOST, True),  # no process can have it
        (4_194_305, 1, "", "another-machine", False),
        (4_194_305, 1, "pid:[1]", HOST, False),  # of a container
        (1, start_time(1), "", HOST, False),
    ],
    ids=["another start", "no such process", "another machine", "another container", "running"],
)
def test_without_flock_only_a_process_known_to_be_gone_loses_its_lock(tmp_path, pid, started, namespace, host, is_free):
    namespace = namespace or Path("/proc/self/ns/pid").readlink()
    (tmp_path / "lock.owner").symlink_to(f"{pid} {started} {namespace} {host}")
    script = """
        import sys
        from pathlib import Path
        from tritonops.file_lock import locked
        def stop(owner):
            raise SystemExit(f"waits for {owner}")
        with locked(Path(sys.argv[1]), on_wait=stop):
            print("locked")
    """
    out, err = python(script, tmp_path / "lock", env=failing(tmp_path, flock=errno.ENOLCK)).communicate(timeout=60)
    if is_free:
        assert (out, err) == ("locked\n", "")
    else:
        assert (out, err) == ("", f"waits for process {pid} on {host}; if it has ended, remove {tmp_path}/lock.owner\n")


def test_with_neither_flock_nor_links_the_error_names_the_file_and_the_setting(tmp_path):
    script = """
        import sys
        from pathlib import Path
        from tritonops.errors import LockingError
        from tritonops.file_lock import locked
        try:
            with locked(Path(sys.argv[1])):
                raise AssertionError
        except LockingError as exc:
            print(exc, exc.hint)
    """
    env = failing(tmp_path, flock=errno.ENOLCK, symlink=errno.EPERM)
    output = output_of(python(script, tmp_path / "lock", env=env))
    assert output.startswith(f"cannot lock {tmp_path}/lock: No locks available")
    assert "TRITON_MODELS_DIR" in output


def test_the_owner_and_its_work_are_named_to_those_who_wait(tmp_path):
    events: list[str] = []
    with locked(tmp_path / "lock", work="pruning the store"):
        owner = (tmp_path / "lock").read_text()
        thread = threading.Thread(target=lambda: locked(tmp_path / "lock", on_wait=events.append).__enter__())
        thread.start()
        wait_for(lambda: events)
    thread.join()
    assert [*events, owner] == [f"process {os.getpid()} on {HOST}, pruning the store"] * 2
