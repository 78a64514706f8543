"""./inv on the machines that people have: odd streams, folders, settings of Python and Invoke, other users' locks."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.paths import PROJECT
from tests.test_bootstrap import BASICS, commands
from tritonops.file_lock import start_time

HERE = f"{Path('/proc/self/ns/pid').readlink()} {os.uname().nodename}"


@pytest.fixture
def clone(tmp_path):
    """A copy of the project that needs no installation."""
    return copy_to(tmp_path / "clone")


def copy_to(folder):
    folder.mkdir(parents=True)
    for name in ("inv", "tasks.py", "models.toml"):
        shutil.copy2(PROJECT / name, folder)
    for name in ("tasks", "tritonops", "requirements"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def run(*command, cwd=PROJECT, streams="", **env):
    """Run a command line, with the redirections of a shell in `streams`."""
    line = ["sh", "-c", f'exec "$@" {streams}', "sh", *map(str, command)]
    return subprocess.run(line, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False)


def assert_clean(done, code):
    """Nothing was printed by Python itself."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


# streams


@pytest.mark.parametrize(
    "arguments", [["--list"], ["--version"], ["--help", "models.list"], ["models.list"], ["models.list", "--json"]]
)
def test_what_does_not_fit_on_a_full_disk_is_an_error(arguments):
    done = run("./inv", *arguments, streams=">/dev/full")
    assert_clean(done, 1)
    assert done.stderr == "error: cannot write: No space left on device\n"


def test_a_stdout_that_can_only_be_read_is_an_error():
    done = run("./inv", "models.list", streams="1</dev/null")
    assert_clean(done, 1)
    assert done.stderr == "error: cannot write: Bad file descriptor\n"


def test_a_closed_stdout_discards_the_result_and_stderr_stays_what_it_is():
    done = run("./inv", "models.list", streams=">&-")
    assert_clean(done, 0)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", "<&- 2>&-", "<&- >&- 2>&-", ">/dev/null 2>&1 <&-"])
def test_messages_that_cannot_be_written_change_neither_the_result_nor_the_exit_code(streams):
    refused = run("./inv", "models.remove", "nothing", streams=streams)
    assert_clean(refused, 2)
    assert refused.stdout == ""
    done = run("./inv", "models.list", streams=streams.replace(">/dev/null 2>&1", "2>&-").replace(">&- 2>&-", "2>&-"))
    assert_clean(done, 0)
    assert done.stdout.startswith("NAME")


@pytest.mark.parametrize("reader", ["head -1"])
@pytest.mark.parametrize("task", ["--list", "models.list"])
def test_a_reader_that_went_away_is_no_traceback(task, reader):
    line = f"{{ ./inv {task}; echo $? >&3; }} | {reader}"
    done = subprocess.run(["sh", "-c", f"exec 3>&2; {line}"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stderr in ("0\n", "1\n")


# the caller's directory


def test_a_deleted_working_directory_is_named_with_a_way_out(tmp_path):
    (tmp_path / "gone").mkdir()
    done = run("sh", "-c", 'rmdir "$PWD"; exec "$0" models.list', PROJECT / "inv", cwd=tmp_path / "gone")
    assert_clean(done, 2)
    assert f"the working directory was deleted; change to another one: cd {PROJECT}" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["a space, it's", '-a "quote" $HOME`x`;b|c&d*?\\', "ümläut\nnew line"])
def test_any_name_of_a_folder_will_do(tmp_path, name):
    clone = copy_to(tmp_path / name / "clone")
    done = run("./inv", "models.list", cwd=clone)
    assert_clean(done, 0)
    assert "clip" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="other filesystems refuse the name")
def test_a_name_that_is_no_text_will_do_or_is_refused_where_python_cannot(tmp_path):
    clone = copy_to(tmp_path / os.fsdecode(b"latin-\xfc"))
    done = run("./inv", "models.download", "--include=nothing", cwd=clone, MODELS_TOML="")
    assert_clean(done, 2)
    refused = "needs a path that is UTF-8" if sys.version_info >= (3, 13) else "models.toml has no model 'nothing'"
    assert refused in done.stderr


def test_a_colon_in_the_path_is_refused_before_anything_is_made(tmp_path):
    clone = copy_to(tmp_path / "a:b")
    (clone / ".venv").unlink()
    done = run("./inv", "models.list", cwd=clone)
    assert_clean(done, 2)
    assert f"cannot run with a colon in the path: {clone}/.venv" in done.stderr
    assert not (clone / ".venv").exists()
    elsewhere = run("./inv", "models.list", cwd=PROJECT, TRITONOPS_VENV=str(tmp_path / "c:d"))
    assert_clean(elsewhere, 2)


# settings of Python and Invoke


def test_settings_of_python_are_for_other_programs(tmp_path):
    for name in ("tasks", "requests", "invoke", "tomlkit", "sitecustomize", "usercustomize", "json", "tritonops"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} was shadowed')")
    for env in (
        {"PYTHONPATH": str(tmp_path)},
        {"PYTHONHOME": str(tmp_path)},
        {"PYTHONPATH": ":", "PYTHONHOME": "/nonexistent", "PYTHONOPTIMIZE": "2", "PYTHONPLATLIBDIR": "odd"},
    ):
        done = run(PROJECT / "inv", "--help", "models.list", cwd=tmp_path, **env)
        assert_clean(done, 0)
        assert "List declared and installed model versions." in done.stdout
        assert done.stderr == ""


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        ("yaml", "run: [broken"),
        ("json", "{"),
        ("py", "import nothing_of_this_name"),
        ("yaml", "tasks: {search_root: /nonexistent, collection_name: other}"),
    ],
)
def test_settings_of_invoke_for_other_tasks_are_not_read(tmp_path, suffix, text):
    (tmp_path / f".invoke.{suffix}").write_text(text)
    done = run("./inv", "models.list", HOME=str(tmp_path))
    assert_clean(done, 0)
    assert done.stderr == ""


def test_settings_of_invoke_that_cannot_be_read_are_wrong_input(clone, tmp_path):
    (clone / "invoke.yaml").write_text("run: [broken")
    done = run("./inv", "models.list", cwd=clone)
    assert_clean(done, 2)
    assert "error: cannot read Invoke's settings" in done.stderr
    assert "invoke.yaml" in done.stderr
    missing = run("./inv", "-f", tmp_path / "missing.odd", "models.list")
    assert_clean(missing, 2)


# files


@pytest.mark.parametrize("autocrlf", ["true", "false"])
def test_a_checkout_has_line_feeds_whatever_git_is_set_to(clone, tmp_path, autocrlf):
    (clone / ".venv").unlink()
    shutil.copy2(PROJECT / ".gitattributes", clone)
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = {**identity, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for line in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        assert run("git", *line, cwd=clone, **env).returncode == 0
    settings = ["-c", f"core.autocrlf={autocrlf}", "-c", "core.eol=crlf"]
    assert run("git", *settings, "clone", "-q", clone, "checkout", cwd=tmp_path, **env).returncode == 0
    (tmp_path / "checkout/.venv").symlink_to(sys.prefix)
    done = run("./inv", "models.list", cwd=tmp_path / "checkout")
    assert_clean(done, 0)
    assert done.stderr == ""


@pytest.mark.parametrize("umask", [0o077, 0o777, 0o000])
def test_files_can_be_read_by_their_owner_whatever_the_umask(clone, umask):
    (clone / "m").mkdir()
    (clone / "m/weights.onnx").write_bytes(b"weights")
    (clone / "models.toml").write_text('[[models.one]]\npath = "m/weights.onnx"\ntriton_version = 1\n')
    line = [sys.executable, "-c", _UNDER_UMASK, str(clone / "inv"), oct(umask)]
    assert_clean(run(*line), 0)
    installed = clone / "triton/one/1/model.onnx"
    assert installed.read_bytes() == b"weights"
    for path in (installed, clone / "models.lock"):
        assert path.stat().st_mode & 0o400
    for folder in (clone / "triton", clone / "triton/one/1", clone / ".store"):
        assert Path(folder).stat().st_mode & 0o700 == 0o700


_UNDER_UMASK = """
import os, sys
os.umask(int(sys.argv[2], 8))
os.execv(sys.argv[1], [sys.argv[1], "models.download"])
"""


# the lock of ./inv


@pytest.fixture
def uninstalled(clone):
    """A copy of the project without its .venv, and a PATH with nothing to make one from."""
    (clone / ".venv").unlink()
    return clone, commands(clone.parent / "bin", *BASICS)


def gets_the_lock(uninstalled):
    """Whether a run comes as far as to look for a Python."""
    clone, path = uninstalled
    done = run("./inv", "--list", cwd=clone, PATH=path)
    assert_clean(done, 1)
    assert not (clone / ".venv.lock").is_symlink()
    assert not (clone / ".venv.lock.takeover").is_symlink()
    return "apt install python3 python3-venv" in done.stderr


def wait_message(clone, **options):
    """Start ./inv, which has to wait, and give what it says and leaves."""
    process = subprocess.Popen(["./inv", "--list"], cwd=clone, stderr=subprocess.PIPE, text=True, **options)
    assert process.stderr
    try:
        message = process.stderr.readline()
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()
    return message


@pytest.mark.parametrize(
    "target", [f"4194305 1 {HERE}", "4194305", f"{os.getpid()} 1 {HERE}"], ids=["gone", "old", "reused"]
)
def test_the_lock_of_a_process_that_has_ended_is_taken_over(uninstalled, target):
    (uninstalled[0] / ".venv.lock").symlink_to(target)
    assert gets_the_lock(uninstalled)


@pytest.mark.parametrize(
    ("target", "named"),
    [
        (f"4194305 1 {HERE.split()[0]} other-machine", "process 4194305 on other-machine,"),
        (f"4194305 1 pid:[1] {HERE.split()[1]}", f"process 4194305 on {HERE.split()[1]},"),
        (f"{os.getpid()} {start_time(os.getpid())} {HERE}", f"process {os.getpid()} on {HERE.split()[1]},"),
        ("what is this", "process what on "),
        (f"99999999999999999999 1 {HERE}", "process 99999999999999999999 on "),
    ],
    ids=["another machine", "another container", "running", "garbage", "a huge id"],
)
def test_a_lock_whose_owner_may_be_running_is_waited_for(uninstalled, target, named):
    clone, _ = uninstalled
    (clone / ".venv.lock").symlink_to(target)
    message = wait_message(clone)
    if target != "what is this":
        assert named in message
    assert f"if it has ended: rm {clone}/.venv.lock*" in message
    assert str((clone / ".venv.lock").readlink()) == target


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_lock_of_another_users_process_is_waited_for(uninstalled):
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(folder)
        shared.chmod(0o777)
        for name in ("inv", "requirements"):
            subprocess.run(["cp", "-r", uninstalled[0] / name, shared], check=True)
        target = f"{os.getpid()} {start_time(os.getpid())} {HERE}"
        (shared / ".venv.lock").symlink_to(target)
        assert f"waiting for process {os.getpid()} on" in wait_message(shared, user=65534, group=65534)
        assert str((shared / ".venv.lock").readlink()) == target


def test_several_that_find_a_left_lock_install_one_after_the_other(uninstalled):
    clone, path = uninstalled
    log = clone / "log"
    python = Path(path, "python3")
    python.write_text(f"#!/bin/sh\necho start >>'{log}'\nsleep 0.2\necho end >>'{log}'\nexit 1\n")
    python.chmod(0o755)
    (clone / ".venv.lock").symlink_to(f"4194305 1 {HERE}")
    env = {**os.environ, "PATH": path}
    runs = [subprocess.Popen(["./inv", "--list"], cwd=clone, env=env, stderr=subprocess.DEVNULL) for _ in range(4)]
    assert {process.wait(60) for process in runs} == {1}
    lines = log.read_text().split()
    assert len(lines) >= 8
    assert lines == ["start", "end"] * (len(lines) // 2)


@pytest.mark.parametrize("kind", ["file", "no links"])
def test_where_no_link_can_be_made_the_reason_is_shown(uninstalled, kind):
    clone, path = uninstalled
    if kind == "file":
        (clone / ".venv.lock").write_text("")
    else:
        Path(path, "ln").unlink()
        Path(path, "ln").write_text("#!/bin/sh\necho 'ln: Operation not permitted' >&2\nexit 1\n")
        Path(path, "ln").chmod(0o755)
    done = run("./inv", "--list", cwd=clone, PATH=path)
    assert_clean(done, 1)
    assert "cannot lock .venv: ln: " in done.stderr
