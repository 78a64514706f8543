"""Each mistake on the command line gets the right word and exit code 2, in every task."""

import json
import subprocess
import sys

import pytest

from tasks.command_line.value_names import VALUE_NAMES, flag_of, value_name
from tests.paths import PROJECT
from tests.tasks.command_lines import CONTEXTS, OPTIONS, TASKS

NUMBERS = {"N", "SECONDS", "VERSION"}


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["models.dowload"], "there is no task 'models.dowload'", "Did you mean models.download?"),
        (["download"], "there is no task 'download'", "Did you mean models.download?"),
        (["models"], "there is no task 'models'", "models is a group of tasks: models.add, models.check"),
        (["up"], "there is no task 'up'", "Did you mean compose.up or server.up?"),
        (["models", "list"], "there is no task 'models'", "Did you mean models.list?"),
        (["models.generate_config", "x"], "models.generate_config", "Did you mean models.generate-config?"),
        (["MODELS.LIST"], "there is no task 'MODELS.LIST'", "Did you mean models.list?"),
        (["wholly-unlike"], "there is no task 'wholly-unlike'", "inv --list shows all tasks."),
        (["models.list", "--jsn"], "models.list has no option --jsn", "Did you mean --json?"),
        (["models.list", "--include", "a"], "models.list has no option --include", "--json"),
        (["--jsno"], "inv itself has no option --jsno", "those of a task come after its name"),
        (["models.download", "--include"], "models.download: --include needs a value", "--include MODEL: Only this"),
        (["models.download", "--include", "--json"], "--include needs a value", "--include MODEL"),
        (["models.download", "--include="], "--include got an empty value", "--include MODEL"),
        (["models.download", "--include", ""], "--include got an empty value", "--include MODEL"),
        (["models.download", ""], "models.download: MODEL is empty", "inv --help models.download"),
        (["models.list", "--json=yes"], "models.list: --json takes no value, got 'yes'", None),
        (["triton.list", "--url", "a:1", "--url", "b:1"], "triton.list: --url was given twice", "It takes one URL."),
        (["models.download", ","], "models.download: MODEL is empty", "inv --help models.download"),
        (["models.download", "--include= , "], "--include got an empty value", "--include MODEL"),
        (["models.download", "--", "clip"], "only remote.run takes words after --", None),
        (["triton.list", "--list-format", "yaml"], "--list-format: expected flat, nested or json, got 'yaml'", None),
        (["triton.load", "x", "--timeout", "1e10"], "--timeout: expected at most 10,000,000 seconds", None),
        (["server.logs", "--lines", "9" * 20], "--lines: expected at most 1,000,000,000", None),
        (["triton.serve", "x"], "triton.serve needs --versions", "latest:2"),
        (["remote.deploy", "gpu-01"], "takes no further word, and 'gpu-01' is no task", "--host gpu-01"),
        (["server.stop"], "there is no task 'server.stop'", "Did you mean server.down?"),
        (["--json", "models.list"], "inv itself has no option --json", "it comes after a task's name"),
        (["triton.load"], "triton.load needs a MODEL", "inv triton.load MODEL"),
        (["triton.infer", "--json"], "triton.infer needs a MODEL", "inv triton.infer MODEL"),
        (["triton.infer", "a", "b"], "triton.infer takes no further word, and 'b' is no task", None),
        (["--help", "modls.list"], "there is no task 'modls.list'", "Did you mean models.list?"),
        (["--list", "modles"], "there is no group of tasks 'modles'", "Did you mean 'models'?"),
        (["-T", "soon", "models.list"], "soon", None),
    ],
)
def test_a_mistake_is_named_and_what_was_meant_is_suggested(inv, words, message, hint):
    code, out, err = inv(*words)
    assert code == 2
    assert ("--json" in words and words[0] != "--json") == bool(out) or words[0] == "--json"
    first, *rest = err.splitlines()
    assert message in first
    assert first.startswith("error: ")
    if hint:
        assert hint in "\n".join(rest)
    for sign_of_python in ("Argument", "No idea", "{'", "['", "Traceback"):
        assert sign_of_python not in err


@pytest.mark.parametrize("name", TASKS)
def test_a_task_with_one_letter_wrong_is_found_again(inv, name):
    position = len(name) - 2
    code, _, err = inv(f"{name[:position]}{name[position + 1 :]}")
    assert code == 2
    assert name in err


@pytest.mark.parametrize("name", TASKS)
def test_an_unknown_option_of_any_task_is_named(inv, name):
    code, out, err = inv(name, *_words(name), "--no-such-optoin")
    assert (code, out) == (2, "")
    assert f"{name} has no option --no-such-optoin" in err


@pytest.mark.parametrize(("name", "option"), [(name, option) for name, option in OPTIONS if option.takes_value])
def test_an_option_without_its_value_is_an_error_in_any_task(inv, name, option):
    if option.positional:
        return
    flag = flag_of(option.name)
    for words in ([flag], [f"{flag}="], [flag, ""]):
        code, out, err = inv(name, *_words(name, but=option.name), *words)
        assert (code, out) == (2, "")
        assert f"{name}: {flag} " in err


@pytest.mark.parametrize(
    ("name", "option"),
    [(name, option) for name, option in OPTIONS if option.takes_value and value_name(option.name) in NUMBERS],
)
def test_a_word_where_a_number_belongs_is_named_with_its_option(inv, name, option):
    code, out, err = inv(name, *_words(name), *_hosts(name), flag_of(option.name), "banana")
    assert (code, out) == (2, "")
    assert f"{flag_of(option.name)}: expected " in err
    assert "'banana'" in err


@pytest.mark.parametrize("name", [name for name in TASKS if TASKS[name].words])
def test_names_of_models_may_follow_a_task_that_is_about_models(inv, name, project_of_two):
    assert inv("models.download")[0] == 0
    code, _, err = inv(name, "clp", *(["--yes"] if "yes" in CONTEXTS[name].args else []))
    assert code in (2, 3), err  # 3: the server is asked first, where it knows the names
    if code == 2:
        assert "clp" in err
        assert "Did you mean 'clip'?" in err or name == "triton.smoke"


def test_words_end_at_an_option_and_at_a_task(inv, project_of_two):
    code, out, err = inv("models.config", "clip", "siglip", "--cpu", "models.list", "--json")
    assert (code, err) == (0, "")
    first, second, document = out.splitlines()
    assert [first.partition(":")[0], second.partition(":")[0]] == ["clip", "siglip"]
    assert [row["name"] for row in json.loads(document)] == ["clip", "siglip"]


def test_a_model_that_is_called_like_a_task_is_given_by_the_option_and_that_is_said(inv, project_of_two):
    with (project_of_two / "models.toml").open("a") as file:
        file.write('[[models."models.list"]]\npath = "clip.onnx"\ntriton_version = 1\n')
    for words in (["clip", "models.list"], ["models.list"], ["clip", "--cpu", "models.list"]):
        code, out, err = inv("models.config", *words)
        assert (code, out) == (2, "")
        assert "models.list is a task, and also a model\nhint: For the model: --include models.list." in err
    assert inv("models.config", "--include", "models.list")[0] == 1  # it has no config


def test_a_command_line_that_is_wrong_is_one_json_document_with_json():
    command = [sys.executable, "-P", str(PROJECT / "tasks/shared/program.py"), "--search-root", str(PROJECT)]
    done = subprocess.run([*command, "models.lst", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert json.loads(done.stdout) == {
        "error": {
            "message": "there is no task 'models.lst'",
            "hint": "Did you mean models.list?",
            "exit_code": 2,
        }
    }


def test_every_value_of_an_option_has_a_name_and_every_name_an_option():
    used = {flag_of(option.name)[2:] for _, option in OPTIONS if option.takes_value}
    assert used - VALUE_NAMES.keys() == set()


def _words(name, but=None):
    """Give a task the words that it needs."""
    if name == "triton.serve" and but != "versions":
        return ["x", "--versions", "all"]
    needed = [argument.name for argument in CONTEXTS[name].positional_args]
    if TASKS[name].needs_words:
        needed.append(TASKS[name].words)
    return [f"--{option}=x" for option in needed if option != but]


def _hosts(name):
    return ["--host", "127.0.0.1"] if name.startswith("remote.") else []
