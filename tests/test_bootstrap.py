"""./inv itself: a copy of it beside a small project, whose locked requirements are Invoke alone."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import PROJECT

pytestmark = pytest.mark.usefixtures("package_index")

TASKS = '''from pathlib import Path
from invoke import task


@task
def where(c, word=""):
    """Say where it runs."""
    print(Path.cwd(), word)


@task
def fail(c):
    raise SystemExit(7)
'''


def locked(name: str) -> str:
    """The entry of one package in the project's own lock, with its hashes."""
    text = (PROJECT / "requirements/dev.txt").read_text()
    found = re.search(rf"^{name}==.*?(?=^[a-z]|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found
    return found[0]


@pytest.fixture
def clone(tmp_path):
    """A project of two tasks, with this project's bootstrap."""
    folder = tmp_path / "clone"
    (folder / "requirements").mkdir(parents=True)
    shutil.copy2(PROJECT / "inv", folder / "inv")
    for part in ("tasks/command_line", "tasks/output", "tasks/shared", "tritonops"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(PROJECT / "requirements/uv.txt", folder / "requirements/uv.txt")
    (folder / "requirements/dev.txt").write_text(locked("invoke"))
    (folder / "tasks.py").write_text(TASKS)
    return folder


def run(*command, cwd, **env):
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )


def commands(folder: Path, *names: str) -> str:
    """A PATH with only these commands."""
    folder.mkdir()
    for name in names:
        if found := shutil.which(name, path="/usr/bin:/bin"):
            (folder / name).symlink_to(found)
    return str(folder)


BASICS = ("sh", "readlink", "dirname", "basename", "cmp", "ln", "rm", "cp", "mv", "sleep", "uname")


def test_the_first_run_installs_and_stdout_holds_only_what_the_task_said(clone):
    done = run("./inv", "where", "--word=hello", cwd=clone)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{clone} hello\n"
    assert "installing requirements/dev.txt" in done.stderr
    again = run("./inv", "where", cwd=clone)
    assert (again.stdout, again.stderr) == (f"{clone} \n", "")
    assert not (clone / ".venv.lock").is_symlink()


def test_it_runs_from_any_directory_and_through_links_in_the_callers_directory(clone, tmp_path):
    run("./inv", "where", cwd=clone)
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    (elsewhere / "link").symlink_to(tmp_path / "second")
    (tmp_path / "second").symlink_to("clone/inv")
    done = run("./link", "where", cwd=elsewhere)
    assert (done.returncode, done.stdout) == (0, f"{elsewhere} \n"), done.stderr


def test_a_modules_name_in_the_callers_directory_does_not_shadow_a_real_module(clone, tmp_path):
    run("./inv", "where", cwd=clone)
    (tmp_path / "invoke.py").write_text("raise SystemExit('shadowed')")
    assert run(clone / "inv", "where", cwd=tmp_path).returncode == 0


def test_the_tasks_exit_code_is_its_exit_code(clone):
    assert run("./inv", "fail", cwd=clone).returncode == 7


def test_a_command_line_that_cannot_be_read_is_wrong_input(clone):
    for arguments, output in (
        (["nothing"], "there is no task 'nothing'"),
        (["where", "--wrod=x"], "Did you mean --word"),
    ):
        done = run("./inv", *arguments, cwd=clone)
        assert (done.returncode, output in done.stderr) == (2, True), done.stderr


def test_a_changed_lock_is_installed_and_what_it_dropped_is_removed(clone):
    run("./inv", "where", cwd=clone)
    (clone / "requirements/dev.txt").write_text(locked("invoke") + locked("iniconfig"))
    done = run("./inv", "where", cwd=clone)
    assert "installing" in done.stderr
    assert run(clone / ".venv/bin/python", "-c", "import iniconfig", cwd=clone).returncode == 0
    (clone / "requirements/dev.txt").write_text(locked("invoke"))
    run("./inv", "where", cwd=clone)
    assert run(clone / ".venv/bin/python", "-c", "import iniconfig", cwd=clone).returncode != 0


def test_a_sync_that_failed_is_tried_again_and_a_wrong_hash_is_refused(clone):
    wrong = re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, locked("invoke"))
    (clone / "requirements/dev.txt").write_text(wrong)
    refused = run("./inv", "where", cwd=clone)
    assert refused.returncode != 0
    assert "hash" in refused.stderr.lower()
    assert not (clone / ".venv/.requirements.txt").exists()
    assert not (clone / ".venv.lock").is_symlink()
    (clone / "requirements/dev.txt").write_text(locked("invoke"))
    assert run("./inv", "where", cwd=clone).returncode == 0


def test_two_at_once_wait_for_each_other(clone):
    starts = [
        subprocess.Popen(["./inv", "where"], cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ends = [process.communicate(timeout=120) for process in starts]
    assert [process.returncode for process in starts] == [0, 0, 0], ends
    assert [out for out, _ in ends] == [f"{clone} \n"] * 3
    assert sum("installing requirements" in err for _, err in ends) == 1


def test_the_lock_of_a_process_that_is_gone_is_taken_over(clone):
    gone = subprocess.Popen(["true"])
    gone.wait()
    (clone / ".venv.lock").symlink_to(str(gone.pid))
    assert run("./inv", "where", cwd=clone).returncode == 0
    assert not (clone / ".venv.lock").is_symlink()


def test_a_clone_that_was_moved_still_works(clone, tmp_path):
    run("./inv", "where", cwd=clone)
    moved = clone.rename(tmp_path / "moved")
    done = run("./inv", "where", cwd=moved)
    assert (done.returncode, done.stdout) == (0, f"{moved} \n"), done.stderr


def test_a_venv_whose_interpreter_is_gone_is_made_again(clone):
    run("./inv", "where", cwd=clone)
    python = clone / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nonexistent/python")
    assert run("./inv", "where", cwd=clone).returncode == 0


def test_without_uv_it_puts_its_own_into_the_venv(clone, tmp_path):
    folder = commands(tmp_path / "bin", *BASICS)
    Path(folder, "python3").symlink_to(Path(sys.executable).resolve())
    done = run("./inv", "where", cwd=clone, PATH=folder)
    assert (done.returncode, done.stdout) == (0, f"{clone} \n"), done.stderr
    assert (clone / ".venv/bin/uv").exists()


def test_with_neither_uv_nor_venv_it_says_what_to_install(clone, tmp_path):
    folder = commands(tmp_path / "bin", *BASICS)
    broken = Path(folder, "python3")
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    done = run("./inv", "where", cwd=clone, PATH=folder)
    assert done.returncode == 1
    assert "apt install python3 python3-venv" in done.stderr
    assert not (clone / ".venv.lock").is_symlink()


def test_an_unknown_set_of_requirements_is_refused(clone):
    done = run("./inv", "where", cwd=clone, TRITONOPS_REQUIREMENTS="nothing")
    assert done.returncode == 2
    assert "requirements/nothing.txt" in done.stderr


def test_a_host_keeps_to_the_set_that_it_was_installed_with(clone):
    (clone / "requirements/runtime.txt").write_text(locked("invoke"))
    (clone / "requirements/dev.txt").write_text(locked("invoke") + locked("iniconfig"))
    run("./inv", "where", cwd=clone, TRITONOPS_REQUIREMENTS="runtime")
    assert run("./inv", "where", cwd=clone).stderr == ""
    assert run(clone / ".venv/bin/python", "-c", "import iniconfig", cwd=clone).returncode != 0
