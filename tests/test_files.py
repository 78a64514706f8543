"""Files: written whole, linked or copied, on filesystems that lack a call too."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from tests.faults.injection import failing
from tests.processes import output_of, python
from tritonops import files
from tritonops.errors import UnreadableFileError
from tritonops.files import replace_text, write_json, write_text


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
