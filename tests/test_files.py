"""Files: written whole, locked by one, linked or copied, on filesystems that lack a call too."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from tests.faults.injection import failing
from tests.paths import PROJECT
from tritonops import files
from tritonops.errors import UnreadableFileError
from tritonops.files import link_or_copy, locked, replace_text, write_json, write_text
from tritonops.processes import start_time

HOST = os.uname().nodename
NO_FLOCK = "ENOLCK ENOSYS ENOTSUP EOPNOTSUPP EINVAL"
NO_LINK = "EXDEV EPERM EMLINK ENOTSUP ENOSYS EACCES EINVAL EPROTO EIO ENOTTY"


def python(script, *arguments, env=None):
    """Start a Python with this script, which may import the project."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(command, cwd=PROJECT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output_of(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


OWNER = """
    import sys
    from pathlib import Path
    from tritonops.files import locked
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


# write


def test_a_write_that_fails_leaves_the_old_content_and_no_partial_file(tmp_path):
    path = tmp_path / "models.toml"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "x" * 100_000 + "\udc80")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("models.toml", "old")]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444, 0o777])
def test_a_file_keeps_its_mode_and_a_new_one_has_the_usual_one(tmp_path, mode):
    path = tmp_path / "file"
    write_text(path, "new")
    usual = path.stat().st_mode & 0o777
    path.chmod(mode)
    write_text(path, "newer")
    assert path.stat().st_mode & 0o777 == mode
    (tmp_path / "plain").write_text("")
    assert usual == (tmp_path / "plain").stat().st_mode & 0o777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_file_keeps_its_owner_and_group(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    os.chown(path, 1234, 5678)
    write_text(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid, path.read_text()) == (1234, 5678, "new")


def test_a_link_to_a_file_stays_and_its_file_is_written(tmp_path):
    (tmp_path / "shared").mkdir()
    path = tmp_path / "models.toml"
    path.symlink_to("shared/models.toml")
    replace_text(path, "through")
    assert path.is_symlink()
    assert (tmp_path / "shared/models.toml").read_text() == "through"


def test_a_link_is_replaced_where_the_content_is_staged_elsewhere(tmp_path):
    (tmp_path / "staging").mkdir()
    (tmp_path / "other").write_text("kept")
    (tmp_path / "file").symlink_to("other")
    write_text(tmp_path / "file", "new", staging=tmp_path / "staging")
    assert ((tmp_path / "file").read_text(), (tmp_path / "other").read_text()) == ("new", "kept")
    assert list((tmp_path / "staging").iterdir()) == []


def test_the_longest_name_can_be_written(tmp_path):
    for name in ("a" * 255, "ü" * 127, "模" * 85):
        write_json(tmp_path / name, {"a": 1})
        assert (tmp_path / name).read_text() == '{"a": 1}\n'


def test_writers_at_once_leave_one_whole_text(tmp_path):
    path = tmp_path / "file"
    texts = [letter * 200_000 for letter in "abcd"]
    threads = [threading.Thread(target=write_text, args=(path, text), kwargs={"sync": False}) for text in texts * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]


def test_a_filesystem_without_fsync_is_written_and_a_failing_disk_is_an_error(tmp_path):
    script = """
        import errno, os, sys
        from pathlib import Path
        from tritonops.files import write_text
        path = Path(sys.argv[1])
        for name in ("EINVAL", "ENOSYS", "EOPNOTSUPP"):
            os.environ["FAULTS"] = f"fsync={getattr(errno, name)}"
            write_text(path, name)
            assert path.read_text() == name
        for name in ("EIO", "ENOSPC"):
            os.environ["FAULTS"] = f"fsync={getattr(errno, name)}"
            try:
                write_text(path, "lost")
            except OSError as exc:
                assert exc.errno == getattr(errno, name)
            else:
                raise AssertionError(name)
        print(path.read_text(), len(list(path.parent.iterdir())))
    """
    (tmp_path / "at").mkdir()
    assert output_of(python(script, tmp_path / "at/file", env=failing(tmp_path))) == "EOPNOTSUPP 1\n"


# link or copy


def test_a_link_is_made_and_an_existing_target_stays(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("bytes")
    link_or_copy(source, target)
    assert source.samefile(target)
    source.with_name("other").write_text("other")
    with pytest.raises(FileExistsError):
        link_or_copy(source.with_name("other"), target)
    assert target.read_text() == "bytes"


def test_where_links_are_refused_the_file_is_copied_with_its_times_and_mode(tmp_path):
    script = f"""
        import errno, os, sys
        from pathlib import Path
        from tritonops.files import link_or_copy
        folder = Path(sys.argv[1])
        for name in "{NO_LINK}".split():
            os.environ["FAULTS"] = f"link={{getattr(errno, name)}}"
            target = folder / name
            link_or_copy(folder / "source", target)
            was, now = (folder / "source").stat(), target.stat()
            assert target.read_bytes() == b"bytes" and was.st_ino != now.st_ino, name
            assert (was.st_mode, was.st_mtime_ns) == (now.st_mode, now.st_mtime_ns), name
            try:
                link_or_copy(folder / "source", target)
            except FileExistsError:
                print(name, end=" ")
    """
    source = tmp_path / "source"
    source.write_bytes(b"bytes")
    os.utime(source, ns=(1, 1_234_567_890))
    source.chmod(0o444)
    assert output_of(python(script, tmp_path, env=failing(tmp_path))).split() == NO_LINK.split()


def test_a_copy_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        link_or_copy(tmp_path / "folder", tmp_path / "target")
    with pytest.raises(FileNotFoundError):
        link_or_copy(tmp_path / "nothing", tmp_path / "target")
    assert not (tmp_path / "target").exists()


# lock


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
        from tritonops.files import locked
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
        from tritonops.files import locked
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
        from tritonops.files import locked
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
        from tritonops.files import locked
        try:
            with locked(Path(sys.argv[1])):
                raise AssertionError
        except LockingError as exc:
            print(exc, exc.hint)
    """
    env = failing(tmp_path, flock=errno.ENOLCK, symlink=errno.EPERM)
    said = output_of(python(script, tmp_path / "lock", env=env))
    assert said.startswith(f"cannot lock {tmp_path}/lock: No locks available")
    assert "TRITON_MODELS_DIR" in said


def test_a_pipe_is_read_to_its_end_and_not_waited_for_for_ever(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with subprocess.Popen(
        ["sh", "-c", 'sleep 0.3; printf "a=1\\n"; sleep 0.3; printf "b=2\\n"'], stdout=subprocess.PIPE
    ) as p:
        assert p.stdout
        assert files.read_text(Path(f"/dev/fd/{p.stdout.fileno()}"), 100, pipe_timeout=5) == "a=1\nb=2\n"
    with pytest.raises(UnreadableFileError, match=r"is a pipe into which nothing was written for 0\.1 seconds"):
        files.read_bytes(path, 100, pipe_timeout=0.1)
    with pytest.raises(UnreadableFileError, match="is a pipe, not a file"):
        files.read_bytes(path, 100)
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as p:
        assert p.stdout
        with pytest.raises(UnreadableFileError, match="too large"):
            files.read_bytes(Path(f"/dev/fd/{p.stdout.fileno()}"), 100_000, pipe_timeout=5)
        p.kill()
