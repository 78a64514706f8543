import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from invoke import Collection, Program

from tasks.output import terminal
from tasks.shared import options, task
from tests.paths import PROJECT
from tritonops.errors import DifferenceError, InputError, TritonOpsError, UnreachableError

INTERRUPT = "os.kill(os.getpid(), signal.SIGINT)"


def inv(folder):
    """The command of `./inv` over the tasks.py of this folder."""
    return [sys.executable, "-P", str(PROJECT / "tasks/shared/program.py"), "--search-root", str(folder)]


@pytest.fixture
def run(capfd):
    """Run a task of this body as `inv`, and give its exit code, stdout and stderr."""

    def run_task(body, *arguments, options=None):
        ns = Collection(go=task.task(**(options or {}))(body))
        program = Program(namespace=ns, binary="inv")
        try:
            program.run(["inv", *arguments])
        except SystemExit as ended:
            return ended.code, *capfd.readouterr()
        return 0, *capfd.readouterr()

    return run_task


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (TritonOpsError("it broke", hint="fix it"), 1, "error: it broke\nhint: fix it\n"),
        (InputError("wrong"), 2, "error: wrong\n"),
        (UnreachableError("gone"), 3, "error: gone\n"),
        (DifferenceError("two differ"), 4, "different: two differ\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_expected_error_is_a_message_a_hint_and_an_exit_code(run, error, code, message):
    def body(c):
        """Fail."""
        raise error

    assert run(body, "go") == (code, "", message)


def test_a_bug_keeps_its_traceback():
    def body(c):
        """Fail."""
        raise ZeroDivisionError

    program = Program(namespace=Collection(go=task.task()(body)), binary="inv")
    with pytest.raises(ZeroDivisionError):
        program.run(["inv", "go"])


def test_debug_shows_the_traceback_of_an_expected_error():
    command = [sys.executable, "-m", "invoke", "--search-root", str(PROJECT), "-d", "bench", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    done = subprocess.run([part for part in command if part != "-d"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_ends_the_task_quietly(tmp_path):
    (tmp_path / "tasks.py").write_text(
        f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n"
        f"__path__ = [{str(PROJECT / 'tasks')!r}]\n"
        "from tasks.shared.task import task\n"
        "@task()\n"
        "def flood(c):\n"
        "    for _ in range(100_000): print('x' * 100)\n"
    )
    inv = f"{sys.executable} -m invoke --search-root {tmp_path} flood"
    done = subprocess.run(["sh", "-c", f"{inv} | head -n 1"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("x" * 100 + "\n", "")


def test_a_reader_of_the_list_of_tasks_that_goes_away_ends_it_quietly():
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run([*inv(PROJECT), "--list"], stdout=writes, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writes)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("while_loading", "in_the_task", "code", "output"),
    [(INTERRUPT, "pass", -signal.SIGINT, ""), ("pass", INTERRUPT, task.INTERRUPTED, "interrupted\n")],
    ids=["while the tasks load", "in a task"],
)
def test_ctrl_c_ends_without_a_traceback(tmp_path, while_loading, in_the_task, code, output):
    (tmp_path / "tasks.py").write_text(
        f"import os, signal, sys; sys.path.insert(0, {str(PROJECT)!r})\n"
        f"__path__ = [{str(PROJECT / 'tasks')!r}]\n"
        "from tasks.shared.task import task\n"
        f"{while_loading}\n"
        "@task()\n"
        "def go(c):\n"
        f"    {in_the_task}\n"
    )
    done = subprocess.run(
        [*inv(tmp_path), "go"],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whatever the test runner does with it
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, output)


@pytest.mark.parametrize("task", ["models.add", "models.remove", "triton.load", "models.list"])
def test_help_behind_a_task_is_the_help_of_that_task(task):
    def ask(*arguments):
        done = subprocess.run([*inv(PROJECT), *arguments], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert ask(task, "--help") == ask("--help", task)
    assert ask("--help", task)[0] == 0


def test_options_may_be_repeated_and_take_comma_separated_lists(run):
    seen = []

    def body(c, include):
        """Collect."""
        seen.extend(options.names(include))

    code, *_ = run(body, "go", "--include", "a,b", "--include", "c , ,d", options={"iterable": ["include"]})
    assert (code, seen) == (0, ["a", "b", "c", "d"])


@pytest.mark.parametrize("value", ["x", "-1", "1.5", ""])
def test_a_number_that_is_none_is_named_with_its_option(value):
    with pytest.raises(InputError, match=r"--jobs: expected a positive integer, got|--jobs: expected an integer"):
        options.integer("--jobs", value)


@pytest.mark.parametrize("value", ["x", "-1", "inf", "nan", ""])
def test_a_duration_that_is_none_is_named_with_its_option(value):
    with pytest.raises(InputError, match=r"--timeout: expected a number of seconds, got"):
        options.seconds("--timeout", value)


def test_a_question_without_a_terminal_wants_yes(monkeypatch):
    with open(os.devnull) as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        with pytest.raises(InputError, match="Not a terminal, cannot prompt"):
            terminal.confirm("Delete it?", yes=False)
        terminal.confirm("Delete it?", yes=True)


ANSWERS = {"y\n": True, "YES\n": True, "n\n": False, "\n": False, "": False}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_question_that_is_not_answered_with_yes_is_no_success(monkeypatch, answer):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    declined = pytest.raises(TritonOpsError, match="nothing was changed")
    with contextlib.nullcontext() if ANSWERS[answer] else declined:
        terminal.confirm("Delete it?", yes=False)
    assert "Delete it? [y/N]" in shown.getvalue()


def test_json_knows_dataclasses_and_paths(capsys):
    @dataclass
    class Row:
        name: str
        path: Path

    terminal.print_json([Row("a", Path("/x"))])
    assert json.loads(capsys.readouterr().out) == [{"name": "a", "path": "/x"}]


def test_a_table_is_plain_aligned_text_where_there_is_no_terminal(capsys):
    terminal.print_table(["name", "state"], [["a", None], ["longer", "READY"]])
    assert capsys.readouterr().out == "NAME    STATE\na       -\nlonger  READY\n"


def test_sizes_are_in_powers_of_a_thousand():
    sizes = [terminal.size(count) for count in (None, 999, 1500, 2_000_000, 3 * 10**9)]
    assert sizes == [None, "999 B", "1.5 kB", "2.0 MB", "3.0 GB"]


HEAVY = {"asyncio", "unittest", "yaml", "grpc", "numpy", "fabric", "requests", "tomlkit", "onnx", "rich"}


def test_the_list_of_tasks_imports_no_heavy_library():
    command = [sys.executable, "-X", "importtime", *inv(PROJECT)[1:], "--list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "invoke" in imported
    assert not imported & HEAVY


def test_settings_load_nothing_that_only_a_wrong_or_a_present_env_file_needs(tmp_path):
    program = (
        f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n"
        "from pathlib import Path\n"
        "from tritonops.settings import load_settings\n"
        "load_settings(Path.cwd(), environ={})\n"
        "print(*{'difflib', 'json', 'tomllib', 'tritonops.dotenv'} & sys.modules.keys())\n"
    )
    command = [sys.executable, "-I", "-c", program]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("from unittest.mock import Mock\n    print(Mock().call_count)", "0"),
        ("from invoke import MockContext\n    print(MockContext(run={'a': 'b'}).run('a').stdout)", "b"),
        ("from invoke.vendor import yaml\n    print(yaml.safe_load('a: 1')['a'])", "1"),
        ("print(c.config.answer)", "42"),
    ],
)
def test_what_invoke_was_kept_from_importing_works_when_it_is_used(tmp_path, code, printed):
    (tmp_path / "invoke.yaml").write_text("answer: 42\n")
    (tmp_path / "tasks.py").write_text(f'from invoke import task\n@task\ndef go(c):\n    """Go."""\n    {code}\n')
    done = subprocess.run([*inv(tmp_path), "go"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{printed}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["triton.infer", "m", "--input", "~nosuchuser/x.json"],
        ["models.add", "m", "--path", "~nosuchuser/x.onnx"],
        ["models.add", "m", "--path", "x.onnx", "--labels", "~nosuchuser/labels.txt"],
        ["remote.env", "--host", "h", "--from", "~nosuchuser/env"],
    ],
)
def test_a_home_that_is_not_there_is_an_error_by_the_option_s_name(inv, arguments):
    code, out, err = inv(*arguments)
    assert (code, out) == (2, "")
    assert f"{arguments[-2]} {arguments[-1]}: names a user that this machine does not have: 'nosuchuser'" in err
