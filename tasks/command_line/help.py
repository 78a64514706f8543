"""What `inv`, `inv --list` and `inv --help TASK` print."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from invoke.terminals import pty_size

from tasks.command_line.dry_run import PLANS
from tasks.command_line.examples import EXAMPLES
from tasks.command_line.value_names import flag_of, value_name
from tritonops.errors import InputError

if TYPE_CHECKING:
    from invoke.parser import Argument

    from tasks.shared.program import TaskProgram

START = """\
tritonops: serve machine-learning models with NVIDIA Triton Inference Server.

Usage: inv TASK [MODEL...] [--options]

Start here:
  inv quickstart                     serve a small model on this machine
  inv doctor                         check what this machine needs
Models:
  inv models.download                download and verify what models.toml has
  inv models.config --cpu            copy their configs
  inv models.check                   validate configs and models offline
Serve on this machine:
  inv server.up                      without Docker
  inv compose.up --cpu               with Docker Compose
  inv triton.list                    list model versions with state and reason
  inv triton.apply                   apply models.toml to disk and server
Serve on GPU servers:
  inv remote.deploy --host gpu-01    deploy this checkout over SSH
  inv remote.status --host gpu-01    show release, health and lock owner

inv --list           all tasks
inv --help TASK      its options, and examples
inv completion bash  completion for your shell: bash, zsh or fish"""

HEADINGS = {
    "": "Start here",
    "models": "Models (models.toml and the files on disk)",
    "triton": "Control of a running Triton",
    "server": "The embedded Triton, without Docker",
    "compose": "Triton in Docker Compose",
    "remote": "GPU servers over SSH",
    "kubernetes": "Kubernetes",
    "dev": "Development",
}
"""Of each group of tasks, in the order of the list; a group without one comes last."""
_FIRST = ("quickstart", "doctor", "completion")
DEVELOPMENT = ("test", "lint", "format", "typecheck", "bench")
"""Tasks without a group that are for people who change tritonops."""
_FILES = ("MODELS_TOML", "TRITON_MODELS_DIR", "TRITON_CONFIG_DIR", "TRITON_STORE_DIR")
_HUB = ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HTTPS_PROXY")
_PORTS = ("TRITON_EXPOSE_HTTP", "TRITON_EXPOSE_GRPC", "TRITON_EXPOSE_METRICS")
ENVIRONMENT = {
    "models": _FILES,
    "models.add": (*_FILES, *_HUB),
    "models.download": (*_FILES, *_HUB),
    "models.lock": (*_FILES, *_HUB),
    "models.check": (*_FILES, "TRITON_IMAGE"),
    "triton": ("TRITON_URL", "TRITON_TOKEN", "TRITON_MODELS_DIR"),
    "triton.apply": ("TRITON_URL", "TRITON_TOKEN", *_FILES, *_HUB),
    "triton.plan": ("TRITON_URL", "TRITON_TOKEN", *_FILES),
    "server": ("TRITON_MODELS_DIR", *_PORTS, "TRITON_TOKEN"),
    "compose": ("COMPOSE_FILE", "TRITON_IMAGE", "TRITON_MODELS_DIR", "TRITON_BIND", *_PORTS, "TRITON_TOKEN"),
    "remote": ("TRITON_SSH_CONFIG", "TRITON_REMOTE_DIR"),
    "kubernetes": ("MODELS_TOML", "TRITON_CONFIG_DIR"),
}
"""The variables that change what a task does, by its name, or else by its group."""


def show_start() -> None:
    """Print where to start, on one screen of 80 × 24."""
    print(START)


def show_list(program: TaskProgram, group: str | None) -> None:
    """Print all tasks, a line each, or those of one group. Raises InputError for a group that there is not."""
    contexts = program.task_contexts
    groups = _grouped({name: contexts.task(name) for name in contexts})
    if group is not None:
        group = group.lower()
        known = {name: tasks for name, tasks in groups.items() if name}
        if group not in known:
            raise _unknown_group(group, known)
        groups = {group: known[group]}
    width = max(len(name) for tasks in groups.values() for name in tasks)
    for number, (name, tasks) in enumerate(groups.items()):
        print(f"{'' if number == 0 else chr(10)}{HEADINGS.get(name, name)}:")
        for task_name, task in tasks.items():
            print(f"  {task_name:<{width}}  {_summary(task)}")


def show_task(program: TaskProgram, name: str) -> None:
    """Print the help of one task. Raises InputError for one that there is not."""
    contexts = program.task_contexts
    if name not in contexts:
        from tasks.command_line.suggestions import suggest_task

        raise InputError(f"there is no task {name!r}", hint=suggest_task(name, "", contexts))
    context, task = contexts[name], contexts.task(name)
    arguments = [*dict.fromkeys(context.args.values())]
    words = [argument for argument in arguments if argument.positional or argument.name == getattr(task, "words", None)]
    options = [argument for argument in arguments if not argument.positional]
    print(f"Usage: inv {name}{''.join(_usage_of(argument, task) for argument in words)} [--options]\n")
    for line in inspect.cleandoc(task.__doc__ or "").splitlines():
        print(textwrap.fill(line, _width()))
    if words:
        _show_rows("Arguments", [(_word(argument, task), argument.help or "") for argument in words])
    rows = [(_option(argument), argument.help or "") for argument in options]
    _show_rows("Options", [*rows, *([("--dry", "Show the plan, and change nothing.")] if name in PLANS else [])])
    if variables := ENVIRONMENT.get(name) or ENVIRONMENT.get(name.partition(".")[0]):
        print("\nEnvironment, or .env:")
        print(textwrap.fill(", ".join(variables), _width() - 2, initial_indent="  ", subsequent_indent="  "))
    if examples := EXAMPLES.get(name):
        print("\nExamples:")
        for example in examples:
            print(f"  inv {example}")


def show_all_options(program: TaskProgram) -> None:
    """Print the options of inv itself."""
    print("Usage: inv [--options] TASK [MODEL...] [--options of the task] [TASK...]")
    arguments = [*dict.fromkeys(program.initial_context.args.values())]
    _show_rows("Options", [(_option(argument), argument.help or "") for argument in arguments])
    print("\ninv --list shows the tasks, inv --help TASK the options of one.")


def _grouped(tasks: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {name: {} for name in HEADINGS}
    for name in sorted(tasks, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)):
        group = name.rpartition(".")[0] or ("dev" if name in DEVELOPMENT else "")
        found.setdefault(group, {})[name] = tasks[name]
    return {group: members for group, members in found.items() if members}


def _unknown_group(group: str, known: Iterable[str]) -> InputError:
    from tritonops.errors import near_misses

    return InputError(f"there is no group of tasks {group!r}", hint=near_misses(group, known, "groups"))


def _summary(task: Any) -> str:
    return (inspect.cleandoc(task.__doc__ or "").splitlines() or [""])[0]


def _usage_of(argument: Argument, task: Any) -> str:
    name = _word(argument, task)
    is_required = argument.positional or getattr(task, "needs_words", False)
    return f" {name}" if is_required else f" [{name}]"


def _word(argument: Argument, task: Any) -> str:
    return (
        f"{value_name(argument.name)}..."
        if argument.name == getattr(task, "words", None)
        else value_name(argument.name)
    )


def _option(argument: Argument) -> str:
    flags = ", ".join([*(f"-{name}" for name in argument.names if len(name) == 1), flag_of(argument.name)])
    return f"{flags} {value_name(argument.name)}" if argument.takes_value else flags


def _show_rows(heading: str, rows: list[tuple[str, str]]) -> None:
    if not rows:
        return
    print(f"\n{heading}:")
    width = min(max(len(left) for left, _ in rows), 28)
    for left, text in rows:
        indent = " " * (width + 4)
        lines = textwrap.wrap(text, max(_width() - len(indent), 20)) or [""]
        if len(left) > width:
            print(f"  {left}")
        else:
            print(f"  {left:<{width}}  {lines.pop(0)}".rstrip())
        for line in lines:
            print(f"{indent}{line}")


def _width() -> int:
    return min(max(pty_size()[0], 40), 100)
