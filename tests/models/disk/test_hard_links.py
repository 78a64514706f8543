"""Hard links, and copies in their place."""

import os

import pytest

from tests.faults.injection import failing
from tests.processes import output_of, python
from tritonops.models.disk.hard_links import link_or_copy

NO_LINK = "EXDEV EPERM EMLINK ENOTSUP ENOSYS EACCES EINVAL EPROTO EIO ENOTTY"


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
        from tritonops.models.disk.hard_links import link_or_copy
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
