"""What scripts and people rely on: summaries, help, long options, and one list of environment variables."""

import copy
import re

import pytest
from invoke import Config, FilesystemLoader

from tests.paths import PROJECT


def all_tasks():
    module, _ = FilesystemLoader(start=str(PROJECT), config=Config()).load("tasks")
    ns = module.ns
    return {name: ns[name] for name in ns.task_names}


def arguments_of(task):
    """Invoke takes the help out of a task when it is first asked, so ask a copy."""
    asked = copy.copy(task)
    asked.help = dict(task.help)
    return asked.get_arguments()


TASKS = all_tasks()
# Before any test of this process runs a task.
ARGUMENTS = {name: arguments_of(task) for name, task in TASKS.items()}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_a_one_line_summary_and_help_for_each_option(name):
    task = TASKS[name]
    assert task.__doc__, "no summary"
    assert task.__doc__.strip().splitlines()[0].endswith(".")
    arguments = {argument.name: argument.help for argument in ARGUMENTS[name]}
    assert [option for option, text in arguments.items() if not text] == []


@pytest.mark.parametrize("name", TASKS)
def test_no_task_has_short_flags_that_a_new_option_would_rename(name):
    letters = [flag for argument in ARGUMENTS[name] for flag in argument.names if len(flag) == 1]
    assert letters in ([], ["f"])  # -f follows a log, as everywhere


OF_OTHER_PROGRAMS = {"HF_HOME", "HF_TOKEN_PATH", "XDG_CACHE_HOME", "HUGGING_FACE_HUB_TOKEN"}
"""Where `hf auth login` stores its token: read from the environment, documented in docs/downloads.md."""


def test_the_example_environment_lists_every_variable_that_the_settings_read():
    read = set(re.findall(r'"([A-Z][A-Z_]{3,})"', (PROJECT / "tritonops/settings.py").read_text()))
    listed = set(re.findall(r"^# ([A-Z_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE))
    assert read - listed == OF_OTHER_PROGRAMS
