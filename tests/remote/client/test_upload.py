"""What arrives on a host is compared with what was hashed here, byte for byte, before anything of it runs."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.remote.client.repository import HERE, NAMES, Repository
from tests.remote.sshd import Server
from tritonops.errors import DeployError
from tritonops.remote.client import manifest
from tritonops.remote.client.checkout import read_checkout
from tritonops.remote.client.host_state import inspect_host
from tritonops.remote.client.manifest import LARGE
from tritonops.remote.client.push import push
from tritonops.remote.client.upload import begin, changed_files, send
from tritonops.remote.host.audit_and_seal import record_bytecode
from tritonops.remote.layout.paths import Release
from tritonops.remote.layout.records import ReleaseRecord
from tritonops.remote.ssh.host import Host


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "checkout")


def deployed(host: Host, repository: Repository, *, before=lambda: None) -> ReleaseRecord:
    """Send a release of what lies there, and make it the current one."""
    checkout, state = read_checkout(repository.folder), inspect_host(host)
    large = {file.sha256: checkout.project / file.path for file in checkout.manifest.large}
    record, missing = begin(host, state, checkout, HERE, large)
    push(host, state, missing)
    before()
    send(host, state, checkout, HERE, record)
    host.run(f"ln -sfn releases/{record.id} {state.root}/current")
    return record


def arrived(server: Server) -> dict[str, bytes | str]:
    """What lies in the current release's project, but for what the host adds."""
    project = server.root / "current/project"
    files = [path for path in project.rglob("*") if path.is_symlink() or path.is_file()]
    found = {
        str(path.relative_to(project)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in files
    }
    assert found.pop(".env")
    return found


def present(repository: Repository) -> dict[str, bytes | str]:
    entries = read_checkout(repository.folder).manifest.entries
    return {entry.path: entry.target or (repository.folder / entry.path).read_bytes() for entry in entries}


def test_every_name_link_bit_and_byte_arrives(fleet, repository):
    server = fleet.add("gpu-01")
    for name in NAMES:
        repository.write(name, name)
    (repository.folder / "link to").symlink_to(os.fsdecode(NAMES[0]))
    repository.write("tool.sh", "x").chmod(0o755)
    repository.write("empty", "")
    repository.write("large weights.onnx", os.urandom(LARGE))
    repository.write("large\nprogram", os.urandom(LARGE)).chmod(0o755)
    repository.commit()
    with Host("gpu-01", ssh_config=fleet.config) as host:
        deployed(host, repository)
        assert changed_files(host, inspect_host(host), read_checkout(repository.folder), HERE) == []
    assert arrived(server) == present(repository)
    project = server.root / "current/project"
    programs = [str(path.relative_to(project)) for path in project.rglob("*") if path.is_file() and is_program(path)]
    assert sorted(programs) == ["inv", "large\nprogram", "tool.sh"]


def is_program(path) -> bool:
    return bool(path.stat().st_mode & stat.S_IXUSR)


@pytest.mark.parametrize("size", [4, LARGE], ids=["small", "large"])
def test_another_content_of_the_same_size_and_time_replaces_the_one_that_is_there(fleet, repository, size):
    """Two checkouts of one second, SOURCE_DATE_EPOCH, git archive: nothing but the bytes tells them apart."""
    server = fleet.add("gpu-01")
    with Host("gpu-01", ssh_config=fleet.config) as host:
        for byte in (b"6", b"8", b"6"):
            os.utime(repository.write("model.onnx", byte * size), ns=(10**18, 10**18))
            repository.commit()
            deployed(host, repository)
            assert arrived(server)["model.onnx"] == byte * size


def test_a_large_file_that_the_host_has_is_not_sent_again(fleet, repository):
    server = fleet.add("gpu-01")
    repository.write("model.onnx", b"8" * LARGE)
    repository.commit()
    with Host("gpu-01", ssh_config=fleet.config) as host:
        deployed(host, repository)
        first = (server.root / "current/project/model.onnx").stat().st_ino
        (repository.folder / "model.onnx").rename(repository.folder / "renamed.onnx")
        repository.commit()
        checkout = read_checkout(repository.folder)
        large = {file.sha256: checkout.project / file.path for file in checkout.manifest.large}
        assert begin(host, inspect_host(host), checkout, HERE, large)[1] == {}
        deployed(host, repository)
    assert (server.root / "current/project/renamed.onnx").stat().st_ino == first


def test_a_file_that_changes_while_it_is_sent_is_found_on_the_host(fleet, repository):
    server = fleet.add("gpu-01")
    with Host("gpu-01", ssh_config=fleet.config) as host:
        with pytest.raises(DeployError, match="not those hashed here") as caught:
            deployed(host, repository, before=lambda: repository.write("config.pbtxt", "two\n"))
        assert "config.pbtxt" in str(caught.value)
        assert not list(server.root.glob("releases/r*[!l]/project"))
        deployed(host, repository)
    assert arrived(server)["config.pbtxt"] == b"two\n"


@pytest.mark.parametrize("place", ["incoming", "."])
def test_a_large_file_that_is_damaged_on_the_host_is_refused_and_then_sent_again(fleet, repository, place):
    server = fleet.add("gpu-01")
    repository.write("model.onnx", b"8" * LARGE)
    repository.commit()
    digest = read_checkout(repository.folder).manifest.large[0].sha256
    damaged = server.root / "shared/.store" / place / digest
    damaged.parent.mkdir(parents=True, exist_ok=True)
    damaged.write_bytes(b"7" * LARGE)
    with Host("gpu-01", ssh_config=fleet.config) as host:
        with pytest.raises(DeployError, match="not those hashed here"):
            deployed(host, repository)
        deployed(host, repository)
    assert arrived(server)["model.onnx"] == b"8" * LARGE


def test_a_large_file_of_which_half_arrived_is_completed(fleet, repository):
    server = fleet.add("gpu-01")
    content = os.urandom(4 * LARGE)
    repository.write("model.onnx", content)
    repository.commit()
    digest = read_checkout(repository.folder).manifest.large[0].sha256
    half = server.root / "shared/.store/incoming" / digest
    half.parent.mkdir(parents=True)
    half.write_bytes(content[: 2 * LARGE])
    with Host("gpu-01", ssh_config=fleet.config) as host:
        deployed(host, repository)
    assert arrived(server)["model.onnx"] == content


def test_a_file_that_somebody_edited_on_the_host_is_a_difference(fleet, repository):
    server = fleet.add("gpu-01")
    with Host("gpu-01", ssh_config=fleet.config) as host:
        deployed(host, repository)
        checkout, state = read_checkout(repository.folder), inspect_host(host)
        edited = server.root / "current/project/config.pbtxt"
        before = edited.stat()
        edited.write_text("two\n")
        os.utime(edited, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert changed_files(host, state, checkout, HERE) == ["config.pbtxt"]


def constants(server: Server, *names: str) -> list[str]:
    """Import modules of the current release as its tasks would, which leaves bytecode there, and give their VALUE."""
    program = "import importlib, sys; print(*(importlib.import_module(name).VALUE for name in sys.argv[1:]))"
    command = [sys.executable, "-c", program, *(f"tasks.{name}" for name in names)]
    done = subprocess.run(
        command, cwd=server.root / "current/project", env={}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def bytecode(server: Server) -> dict[str, int]:
    found = (server.root / "current/project").rglob("*.pyc")
    return {path.name.partition(".")[0]: path.stat().st_ino for path in found}


def activated(server: Server, *names: str) -> list[str]:
    """Run these modules as the activation of the current release does, which records their bytecode at its end."""
    values = constants(server, *names)
    record_bytecode(Release((server.root / "current").resolve()))
    return values


@pytest.fixture
def modules(repository):
    repository.write("tritonops/__init__.py", "")
    for name in ("same", "other", "gone"):
        repository.write(f"tasks/{name}.py", "VALUE = 1\n")
    repository.commit()


@pytest.mark.usefixtures("modules")
def test_a_release_begins_with_the_bytecode_of_sources_that_did_not_change(fleet, repository):
    server = fleet.add("gpu-01")
    with Host("gpu-01", ssh_config=fleet.config) as host:
        deployed(host, repository)
        assert activated(server, "same", "other", "gone") == ["1", "1", "1"]
        before = bytecode(server)
        repository.write("tasks/other.py", "VALUE = 2\n")  # of the same size
        (repository.folder / "tasks/gone.py").unlink()
        repository.commit()
        deployed(host, repository)
        assert bytecode(server) == {"same": before["same"]}
        assert activated(server, "same", "other") == ["1", "2"]
        after = bytecode(server)
        assert (after["same"] == before["same"], after["other"] == before["other"]) == (True, False)
        assert changed_files(host, inspect_host(host), read_checkout(repository.folder), HERE) == []
        deployed(host, repository)
        assert bytecode(server) == after


@pytest.mark.usefixtures("modules")
def test_bytecode_of_another_source_of_the_same_size_and_mtime_is_not_taken(fleet, repository, monkeypatch):
    monkeypatch.setattr(manifest, "_mtime", lambda sha256: 1_234_567_890)
    server = fleet.add("gpu-01")
    with Host("gpu-01", ssh_config=fleet.config) as host:
        for value in ("1", "2", "1"):
            repository.write("tasks/other.py", f"VALUE = {value}\n")
            repository.commit()
            deployed(host, repository)
            assert activated(server, "same", "other") == ["1", value]


def edit_unseen(path: Path) -> None:
    before = path.stat()
    path.write_text("VALUE = 9\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def edited(server: Server) -> None:
    edit_unseen(server.root / "current/project/tasks/same.py")
    shutil.rmtree(server.root / "current/project/tasks/__pycache__")
    assert constants(server, "same") == ["9"]


def edited_and_deleted(server: Server) -> None:
    edited(server)
    (server.root / "current/project/tasks/same.py").unlink()


def edited_and_put_back(server: Server) -> None:
    tasks = server.root / "current/project/tasks"
    shutil.copytree(tasks, tasks.with_name("before"))
    edited(server)
    for path in tasks.with_name("before").glob("*.py"):
        path.replace(tasks / path.name)


def compiled_unchecked(server: Server) -> None:
    edit_unseen(server.root / "current/project/tasks/same.py")
    command = [sys.executable, "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash", "tasks"]
    subprocess.run(command, cwd=server.root / "current/project", check=True)


def another_ran_unrecorded(server: Server) -> None:
    (server.root / "current/bytecode").unlink()
    edited(server)


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    "tamper", [edited, edited_and_deleted, edited_and_put_back, compiled_unchecked, another_ran_unrecorded]
)
def test_bytecode_that_somebody_made_on_the_host_runs_in_no_other_release(fleet, repository, tamper):
    server = fleet.add("gpu-01")
    with Host("gpu-01", ssh_config=fleet.config) as host:
        deployed(host, repository)
        assert activated(server, "same") == ["1"]
        tamper(server)
        repository.write("config.pbtxt", "two\n")
        repository.commit()
        deployed(host, repository)
        assert bytecode(server) == {}
        assert constants(server, "same") == ["1"]


def test_files_that_cannot_be_written_are_a_failure_in_words(fleet, repository):
    fleet.add("gpu-01")
    with Host("gpu-01", ssh_config=fleet.config) as host:
        checkout, state = read_checkout(repository.folder), inspect_host(host)
        record, _ = begin(host, state, checkout, HERE, {})
        host.run(f"rm -r {state.root}/releases/{record.id}.partial")
        with pytest.raises(DeployError, match=r"gpu-01: the files cannot be written to .*: .*\bcd\b"):
            send(host, state, checkout, HERE, record)


def test_a_host_gets_its_own_models_toml_which_is_no_difference_later(fleet, repository):
    server = fleet.add("gpu-01")
    entry = '[[models.{0}]]\npath = "config.pbtxt"\ntriton_version = 1\nhosts = ["{1}"]\n'
    repository.write("models.toml", entry.format("mine", "gpu-01") + entry.format("other", "gpu-02"))
    repository.commit()
    with Host("gpu-01", ssh_config=fleet.config) as host:
        deployed(host, repository)
        text = str(arrived(server)["models.toml"])
        assert "mine" in text
        assert "other" not in text
        assert changed_files(host, inspect_host(host), read_checkout(repository.folder), HERE) == []
