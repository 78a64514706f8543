"""Invoke's own program, with this project's exit codes, and no traceback for Ctrl-C, `| head` or a full disk."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

# Until a task runs, Ctrl-C ends the process as it does any other: no traceback of half an import.
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class _ImportedWhenUsed(ModuleType):
    """Stands in for a module until one of its attributes is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


def _mock(*args: Any, **kwargs: Any) -> Any:
    from unittest.mock import Mock

    return Mock(*args, **kwargs)


def _stand_ins() -> dict[str, ModuleType]:
    """Invoke imports both at every start: PyYAML for configuration files, Mock for MockContext."""
    mock = ModuleType("unittest.mock")
    vars(mock)["Mock"] = _mock
    return {"unittest.mock": mock, "invoke.vendor.yaml": _ImportedWhenUsed("invoke.vendor.yaml")}


if __name__ == "__main__":
    # Most of what a short run makes stays: repeated garbage collections find nothing, and cost a thirtieth.
    gc.set_threshold(100_000, 20, 20)
    # Nor does one find anything at the exit, where Python would look at each object twice: a tenth of a short run.
    atexit.register(gc.freeze)
    sys.modules.update(_stand_ins())
    if sys.version_info >= (3, 13) and not sys.prefix.isascii():
        try:
            sys.prefix.encode()
        except UnicodeEncodeError:  # compiled modules, PyYAML's for one, cannot be imported from there
            print(f"inv: Python 3.13 needs a path that is UTF-8; rename the folder: {sys.prefix!a}", file=sys.stderr)
            raise SystemExit(2) from None

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from invoke import Config, Exit, ParseError, Program, __version__
from invoke.parser import Argument, Parser
from invoke.util import LOG_FORMAT

if __name__ == "__main__":
    # From now on an import gets the real ones.
    for name in _stand_ins():
        del sys.modules[name]


if __name__ == "__main__":
    # Invoke loads tasks.py later, and may be told to load another one.
    vars(sys.modules.setdefault("tasks", ModuleType("tasks")))["__path__"] = [str(Path(__file__).resolve().parents[1])]
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasks.command_line.dry_run import preview
from tasks.command_line.task_contexts import TaskContexts
from tasks.command_line.words import CommandLine, ResolvedWords
from tasks.output.error_output import report_error
from tasks.output.terminal import begin_task, print_json_documents_as_lines
from tasks.shared.options import choice
from tasks.shared.streams import WRITE_ERRORS, discard, prepare_streams
from tritonops.errors import InputError, TritonOpsError

COMPLETE = "--complete-words"
"""In a call by a shell's completion; the shell's name and the words of the line follow, one by one."""
_HIDDEN = {"remote.activate", "remote.prove"}


class TaskProgram(Program):
    """What `./inv` runs; Invoke itself exits with 1 for a wrong command line, which means here that a task failed."""

    _asked_for_help = False
    _named_tasks: tuple[str, ...] = ()
    _to_complete: list[str] | None = None
    """The words after COMPLETE."""

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        """Run it; a reader who has gone (`| head`) or a full disk is no reason for a traceback."""
        try:
            try:
                super().run(argv, exit)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            discard(sys.stdout)
            sys.exit(1)
        except OSError as exc:
            if exc.filename is not None or exc.errno not in WRITE_ERRORS:
                raise
            discard(sys.stdout)
            sys.exit(f"error: cannot write: {exc.strerror}")

    def core_args(self) -> list[Argument]:
        """Give Invoke's own options; --dry does something else here."""
        arguments: list[Argument] = super().core_args()
        for argument in arguments:
            if argument.name == "dry":
                argument.help = "Show the plan of the task; one that has none and changes something is refused."
        return arguments

    def parse_core(self, argv: list[str] | None) -> None:
        """Read the options of Invoke itself."""
        argv = sys.argv if argv is None else argv
        if COMPLETE in argv:
            position = argv.index(COMPLETE)
            argv, self._to_complete = argv[:position], argv[position + 1 :]
        with _wrong_input():
            super().parse_core(argv)
        if self.args.help.value is True:  # of all tasks, which are not loaded yet
            self.args.help.set_value(None, cast=False)
            self._asked_for_help = True

    def parse_collection(self) -> None:
        """Load the tasks, and the hidden one that a client asks for by its name."""
        super().parse_collection()
        if _HIDDEN.intersection(self.argv):
            from tasks import activation

            for task in (activation.activate, activation.prove):
                self.collection.collections["remote"].add_task(task)
        if self._to_complete is not None:
            from tasks.command_line.completion import candidates

            for candidate in candidates(self, self._to_complete):
                print(candidate)
            raise Exit
        if self.args.debug.value or os.environ.get("INVOKE_DEBUG"):
            _redact_logs()

    def parse_tasks(self) -> None:
        """Read the tasks and their options. A mistake ends with exit code 2, and with what was meant."""
        begin_task()
        if sum(word in self.task_contexts for word in self.core.unparsed) > 1:
            print_json_documents_as_lines()
        with _wrong_input(json="--json" in self.argv):
            line = CommandLine(self.initial_context, self.task_contexts)
            resolved = line.resolve(self.core.unparsed)
            _refuse_doubtful(resolved.doubtful)
            if self.core.remainder and "remote.run" not in resolved.tasks:
                raise InputError("only remote.run takes words after --", hint="inv remote.run --host HOST -- TASK")
        if resolved.help:
            self.args.help.value, resolved = resolved.help, ResolvedWords(())
        self.core.unparsed, self._named_tasks = [*resolved.words], resolved.tasks
        with _wrong_input():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """Show help or a list, if that is what was asked for."""
        from tasks.command_line import help

        with _wrong_input():
            choice("--list-format", self.args["list-format"].value, ("flat", "nested", "json"))
            if isinstance(self.args.help.value, str):
                help.show_task(self, self.args.help.value)
            elif self._asked_for_help:
                help.show_all_options(self)
            elif self.args.list.value and self.args["list-format"].value == "flat":
                help.show_list(self, None if self.args.list.value is True else self.args.list.value)
            else:
                super().parse_cleanup()
                return
        raise Exit

    def no_tasks_given(self) -> None:
        """Show where to start."""
        from tasks.command_line import help

        help.show_start()
        raise Exit

    def print_version(self) -> None:
        """Print the version of this project, and that of Invoke."""
        from tritonops import __version__ as version

        print(f"tritonops {version} (Invoke {__version__})")

    @cached_property
    def task_contexts(self) -> TaskContexts:
        """The options of each task."""
        return TaskContexts(self.collection)

    def _make_parser(self) -> Parser:
        """Invoke's parser copies the options of all tasks that it is given: only those that were named."""
        return Parser([self.task_contexts[name] for name in self._named_tasks], self.initial_context)

    def execute(self) -> None:
        """Run the tasks, which end on Ctrl-C by themselves and clean up."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.args.dry.value:
            with _wrong_input(json="--json" in self.argv):
                previews = [preview(context, self.collection[context.name]) for context in self.tasks]
            self.executor_class(self.collection, self.config, self.core).execute(*previews)
            return
        super().execute()


class _ProjectConfig(Config):
    """Settings of Invoke from this project only: ~/.invoke.yaml and /etc/invoke.yaml are for other tasks."""

    def load_base_conf_files(self) -> None:
        """Load neither of the two."""

    def load_project(self, merge: bool = True) -> None:
        """Load invoke.yaml of tasks.py's folder."""
        with _wrong_config():
            super().load_project(merge)

    def load_runtime(self, merge: bool = True) -> None:
        """Load the file of `-f`."""
        with _wrong_config():
            super().load_runtime(merge)


@contextmanager
def _wrong_config() -> Iterator[None]:
    try:
        yield
    except Exception as exc:
        raise Exit(f"error: cannot read Invoke's settings: {exc}", code=2) from exc


@contextmanager
def _wrong_input(*, json: bool = False) -> Iterator[None]:
    """Turn what is wrong with the command line into a message and exit code 2."""
    try:
        yield
    except InputError as exc:
        raise Exit(report_error(exc, json=json), code=exc.exit_code) from exc
    except (ParseError, ValueError) as exc:
        hint = "`inv --list` shows the tasks, `inv --help TASK` the options of one."
        raise Exit(report_error(InputError(str(exc), hint=hint), json=json), code=2) from exc


def _refuse_doubtful(words: Sequence[tuple[str, str]]) -> None:
    """Refuse a word that is a task and a model where both can be meant; `words` has the option of each model."""
    if not words:
        return
    from tasks.shared.checkout import project

    project.cache_clear()
    try:
        models = {*project().catalog.names, *project().repository.names()}
    except TritonOpsError:
        return
    for name, flag in words:
        if name in models:
            hint = f"For the model: {flag} {name}. For the task: a command line of its own."
            raise InputError(f"{name} is a task, and also a model", hint=hint)


def _redact_logs() -> None:
    """With `-d` the libraries log too, urllib3 each URL with its query."""
    import logging

    from tritonops.redaction import redact

    class Redacted(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return redact(super().format(record))

    for handler in logging.getLogger().handlers:
        handler.setFormatter(Redacted(LOG_FORMAT))


if __name__ == "__main__":
    sys.argv[0] = "inv"
    prepare_streams()
    TaskProgram(
        name="Invoke",
        binary="inv[oke]",
        binary_names=["inv", "invoke"],
        version=__version__,
        config_class=_ProjectConfig,
    ).run()
