"""What a shell offers for the word under the cursor: tasks, options, and values of options.

The scripts in completions/ pass the words of the line one by one, so that an empty last word arrives too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.command_line.value_names import flag_of, value_name

if TYPE_CHECKING:
    from invoke.parser import Argument, ParserContext

    from tasks.shared.program import TaskProgram

FILES = ":files"
"""Printed alone, in place of candidates: the shell offers its files."""
_OF_FILES = {"FILE", "PATH", "FOLDER"}


def candidates(program: TaskProgram, words: Sequence[str]) -> list[str]:
    """List candidates for the last of `words`, which begin with the shell's name and the command.

    A tab and a description may follow a candidate. After any error there are none: a shell has no place for errors.
    """
    with suppress(Exception):
        return [*_Line(program, words).candidates()]
    return []


class _Line:
    """A command line up to the cursor."""

    def __init__(self, program: TaskProgram, words: Sequence[str]) -> None:
        self._contexts = program.task_contexts
        self._core = program.initial_context
        shell, _, *line = words
        self._splits_at_equals = shell == "bash"
        *self._before, self._current = _joined(line) if self._splits_at_equals else line or [""]
        self._task: str | None = None
        self._given: dict[str, list[str]] = {}
        self._waiting: Argument | None = None
        for word in self._before:
            self._read(word)

    def candidates(self) -> Iterator[str]:
        """List candidates for the current word."""
        if self._waiting:
            yield from self._values(self._waiting, self._current)
        elif self._current.startswith("-"):
            yield from self._options()
        elif argument := self._next_word:
            found = [*self._values(argument, self._current)]
            yield from found or (self._task_names() if argument.kind is list else [])
        else:
            yield from self._task_names()

    def _read(self, word: str) -> None:
        if self._waiting:
            self._give(self._waiting, word)
            self._waiting = None
        elif word.startswith("-"):
            flag, equals, value = word.partition("=")
            argument = self._argument(flag)
            if argument and not argument.takes_value:
                self._give(argument, "")
            elif argument:
                if equals:
                    self._give(argument, value)
                else:
                    self._waiting = argument
        elif (argument := self._next_word) and argument.positional:
            self._give(argument, word)
        elif word in self._contexts:
            self._task, self._given = word, {}
        elif argument:
            self._give(argument, word)

    def _give(self, argument: Argument, value: str) -> None:
        self._given.setdefault(argument.name or "", []).append(value)

    @property
    def _context(self) -> ParserContext:
        return self._contexts[self._task] if self._task else self._core

    def _argument(self, flag: str) -> Argument | None:
        found: Argument | None = self._context.flags.get(flag) or self._core.flags.get(flag)
        return found

    @property
    def _next_word(self) -> Argument | None:
        """The argument that a word without dashes is the value of."""
        if self._task is None:
            return None
        for argument in self._context.positional_args:
            if argument.name not in self._given:
                return argument
        words = getattr(self._contexts.task(self._task), "words", None)
        return self._context.args[words] if words else None

    def _task_names(self) -> Iterator[str]:
        for name in sorted(self._contexts):
            if name.startswith(self._current):
                yield f"{name}\t{(self._contexts.task(name).__doc__ or '').strip().splitlines()[0]}"

    def _options(self) -> Iterator[str]:
        flag, equals, value = self._current.partition("=")
        if equals and (argument := self._argument(flag)):
            prefix = "" if self._splits_at_equals else f"{flag}="
            for found in self._values(argument, value):
                yield found if found == FILES else f"{prefix}{found}"
            return
        for argument in dict.fromkeys(self._context.args.values()):
            name = flag_of(argument.name)
            if name.startswith(self._current) and (argument.kind is list or argument.name not in self._given):
                yield f"{name}\t{argument.help or ''}"
        if self._task and "--help".startswith(self._current):
            yield "--help\tShow the help of this task."

    def _values(self, argument: Argument, prefix: str) -> Iterator[str]:
        kind = value_name(argument.name)
        if kind in _OF_FILES:
            yield FILES
            return
        *listed, last = prefix.split(",")
        head = "".join(f"{word}," for word in listed)
        taken = {word for value in self._given.get(argument.name or "", ()) for word in value.split(",")} | {*listed}
        for value in _VALUES.get(kind, _none)(self, argument):
            if value.startswith(last) and value not in taken:
                yield f"{head}{value}"

    def option(self, name: str) -> list[str]:
        """List what was given for an option so far."""
        return [word for value in self._given.get(name, ()) for word in value.split(",")]

    @property
    def task(self) -> str | None:
        """The task that the cursor is behind."""
        return self._task

    @property
    def tasks(self) -> Sequence[str]:
        """List the full names of all tasks."""
        return sorted(self._contexts)


def _joined(words: Sequence[str]) -> list[str]:
    """Put together what bash takes apart at `=`."""
    joined: list[str] = []
    for word in words:
        if joined and (word == "=" or joined[-1].endswith("=")) and joined[-1].startswith("--"):
            joined[-1] += word
        else:
            joined.append(word)
    return joined or [""]


def _project() -> Any:
    from tasks.shared.checkout import project

    return project()


def _none(line: _Line, argument: Argument) -> Sequence[str]:
    return ()


def _models(line: _Line, argument: Argument) -> Sequence[str]:
    project = _project()
    if line.task == "models.enable":
        return [*project.repository.disabled_names()]
    return sorted({*project.catalog.names, *project.repository.names()})


def _versions(line: _Line, argument: Argument) -> Sequence[str]:
    project = _project()
    numbers = set[int]()
    for model in line.option("model"):
        numbers |= {entry.version for entry in project.catalog.versions_of(model)}
        numbers |= {*project.repository.versions(model)}
    return [str(number) for number in sorted(numbers)]


def _hosts(line: _Line, argument: Argument) -> Sequence[str]:
    from tasks.shared.hosts import known_hosts

    return known_hosts()


def _groups(line: _Line, argument: Argument) -> Sequence[str]:
    if argument.name == "list":
        return sorted({name.partition(".")[0] for name in line.tasks if "." in name})
    return sorted(_project().hosts.groups)


def _targets(line: _Line, argument: Argument) -> Sequence[str]:
    return sorted(_project().targets.by_name)


def _releases(line: _Line, argument: Argument) -> Sequence[str]:
    """List the releases of hosts; those of a cluster would be a request."""
    if not (line.task or "").startswith("remote."):
        return ()
    from tasks.shared.release_cache import cached_releases

    return cached_releases(line.option("host"))


def _services(line: _Line, argument: Argument) -> Sequence[str]:
    from tasks.shared.checkout import PROJECT

    files = _project().settings.environment.compose_files
    paths = files or [PROJECT / name for name in ("docker-compose.yml", "ml.yml")]
    return sorted({name for path in paths for name in _services_of(path)})


def _services_of(path: Path) -> Iterator[str]:
    """List the keys below `services:`; reading YAML for it would cost more than all the rest."""
    with suppress(OSError):
        section = re.search(r"^services:[^\n]*\n((?:[ \t#][^\n]*\n|\n)*)", f"{path.read_text()}\n", re.MULTILINE)
        names = re.findall(r"^( +)([\w.-]+):", section[1], re.MULTILINE) if section else []
        yield from (name for indent, name in names if len(indent) == len(names[0][0]))


def _tasks(line: _Line, argument: Argument) -> Sequence[str]:
    return line.tasks


def _shells(line: _Line, argument: Argument) -> Sequence[str]:
    return ("bash", "fish", "zsh")


def _formats(line: _Line, argument: Argument) -> Sequence[str]:
    if argument.name == "list-format":
        return ("flat", "json", "nested")
    return ("github", "json", "sarif", "text") if line.task == "models.check" else ("json", "markdown", "text")


def _names(line: _Line, argument: Argument) -> Sequence[str]:
    from tasks.shared.checkout import PROJECT

    return sorted(path.stem for path in (PROJECT / "benchmarks").glob("[a-z]*.py"))


_VALUES: Mapping[str, Callable[[_Line, Argument], Sequence[str]]] = {
    "MODEL": _models,
    "VERSION": _versions,
    "HOST": _hosts,
    "GROUP": _groups,
    "TARGET": _targets,
    "RELEASE": _releases,
    "SERVICE": _services,
    "TASK": _tasks,
    "SHELL": _shells,
    "FORMAT": _formats,
    "NAME": _names,
}
