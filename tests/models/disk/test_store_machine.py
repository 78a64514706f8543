"""The store on filesystems that lack a call, and between users who share it."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.injection import failing
from tests.models.catalogs import files_below
from tests.paths import PROJECT

USERS = (60_001, 60_002)
GROUP = 60_000


@pytest.fixture
def folder():
    """A project of two models from this machine, in a folder that other users may enter."""
    with TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        yield project(Path(parent, "project"))


def project(root):
    root.mkdir()
    for name in ("a", "b"):
        (root / f"{name}.onnx").write_bytes(name.encode() * 100_000)
    (root / "models.toml").write_text(
        "".join(f'[[models.{name}]]\npath = "{name}.onnx"\ntriton_version = 1\n' for name in "ab")
    )
    return root


def run(folder, env, *arguments):
    paths = {"MODELS_TOML": str(folder / "models.toml"), "TRITON_MODELS_DIR": str(folder / "triton")}
    done = subprocess.run(
        [PROJECT / "inv", *arguments], cwd=folder, env={**env, **paths}, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize(("flock", "link"), [("ENOLCK", "EPERM"), ("EOPNOTSUPP", "EOPNOTSUPP")])
def test_models_are_installed_where_the_filesystem_has_neither_locks_nor_links(folder, tmp_path, flock, link):
    env = failing(tmp_path, flock=getattr(errno, flock), link=getattr(errno, link))
    done = run(folder, env, "models.download")
    assert done.returncode == 0, done.stderr
    installed = files_below(folder / "triton")
    assert installed == {"a/1/model.onnx": b"a" * 100_000, "b/1/model.onnx": b"b" * 100_000}
    again = run(folder, env, "models.download", "--verify", "--json")
    assert again.returncode == 0
    assert '"downloaded": []' in again.stdout
    assert not list(folder.glob(".store/*.owner"))


def test_where_no_lock_can_be_taken_the_error_names_the_setting(folder, tmp_path):
    env = failing(tmp_path, flock=errno.ENOLCK, symlink=errno.EPERM)
    done = run(folder, env, "models.download")
    assert done.returncode == 1
    assert "No locks available" in done.stderr
    assert "TRITON_MODELS_DIR" in done.stderr
    assert not (folder / "triton").exists() or not files_below(folder / "triton")


AS_USERS = """
import os, pwd, random, sys
from pathlib import Path
from tritonops.errors import TritonOpsError
from tritonops.models.download import download
from tritonops.models.disk.store import Store
from tritonops.project import Project
from tritonops.settings import load_settings

root, mask = Path(sys.argv[1]), int(sys.argv[2], 8)
warm = load_settings(Path(sys.argv[3]), environ={})
download(Project(warm))  # what is imported late is imported now: a user may not be able to read it
settings = load_settings(root, environ={})


def run(uid, work):
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(60_000)
        os.setuid(uid)
        os.umask(mask)
        try:
            print(work(), flush=True)
        except TritonOpsError as exc:
            print(type(exc).__name__, exc, exc.hint, flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""


def as_users(folder, tmp_path, umask, script):
    """Run steps as two users of one group; each prints a line."""
    (tmp_path / "warm").mkdir()
    (tmp_path / "warm/models.toml").write_text(f'[[models.a]]\npath = "{folder}/a.onnx"\ntriton_version = 1\n')
    for path in (folder, *folder.iterdir()):
        os.chown(path, USERS[0], GROUP)
    folder.chmod(0o2775)
    line = [sys.executable, "-c", AS_USERS + script, str(folder), oct(umask), str(tmp_path / "warm")]
    done = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")


@AS_ROOT
def test_users_of_one_group_share_a_store(folder, tmp_path):
    first, second, third = as_users(
        folder,
        tmp_path,
        0o002,
        """
run(60_001, lambda: download(Project(settings), include=["a"]).downloaded)
run(60_002, lambda: download(Project(settings)).downloaded)
run(60_001, lambda: download(Project(settings), verify=True).skipped)
""",
    )
    assert (first, second, third) == ("('a/1',)", "('b/1',)", "('a/1', 'b/1')")
    assert (folder / ".store/lock").stat().st_mode & 0o777 == 0o664
    assert (folder / "models.lock").stat().st_gid == GROUP


@AS_ROOT
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_store_that_is_not_shared_names_its_owner_and_what_shares_it(folder, tmp_path, umask):
    first, second = as_users(
        folder,
        tmp_path,
        umask,
        """
run(60_001, lambda: download(Project(settings), include=["a"]).downloaded)
run(60_002, lambda: download(Project(settings)).downloaded)
""",
    )
    assert first == "('a/1',)"
    assert second.startswith(f"StoreError cannot write to {folder}/.store: [Errno 13] Permission denied")
    assert f"It belongs to user {USERS[0]}. To share it: umask 002 for all, chmod -R g+rwX {folder}/.store" in second


@AS_ROOT
def test_a_file_that_another_user_began_is_stored_as_ones_own(folder, tmp_path):
    content = b"b" * 100_000
    sha256 = hashlib.sha256(content).hexdigest()
    (line,) = as_users(
        folder,
        tmp_path,
        0o002,
        f"""
store = Store(root / ".store")
store.partial_dir.mkdir(parents=True)
begun = store.partial_dir / "begun"
begun.write_bytes(b"b" * 100_000)
for path, mode in ((store.root, 0o2775), (store.partial_dir, 0o2775), (begun, 0o664)):
    os.chown(path, 60_001, 60_000)
    path.chmod(mode)
run(60_002, lambda: store.keep(begun, "{sha256}").stat().st_uid)
""",
    )
    assert line == str(USERS[1])
    assert (folder / ".store" / sha256).stat().st_mode & 0o777 == 0o444
    assert list((folder / ".store/partial").iterdir()) == []
