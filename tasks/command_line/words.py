"""What was typed, read word by word: each mistake gets the right word before Invoke's parser sees it.

Invoke has no positional lists, takes a missing value for "all", and names its own objects in its messages. So the words
are resolved here, against the options of each task, and what goes on to Invoke cannot be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.command_line.value_names import flag_of, value_name
from tritonops.errors import InputError

if TYPE_CHECKING:
    from invoke.parser import Argument, ParserContext

    from tasks.command_line.task_contexts import TaskContexts

HELP = ("-h", "--help")


@dataclass(frozen=True)
class ResolvedWords:
    """Words that Invoke reads without a mistake, and the task whose help is asked for instead."""

    words: tuple[str, ...]
    help: str | None = None
    tasks: tuple[str, ...] = ()
    """The tasks among them, each once."""
    doubtful: tuple[tuple[str, str], ...] = ()
    """Tasks named where a model's name could be, each with the option that such a model is given by."""


@dataclass
class TaskWords:
    """One task on the command line, and what it was given so far."""

    name: str
    context: ParserContext
    list_option: str | None = None
    """The option that further words are values of."""
    given: set[str] = field(default_factory=set)

    @property
    def next_positional(self) -> str | None:
        """The option that the next word is the value of."""
        names = [argument.name for argument in self.context.positional_args if argument.name not in self.given]
        return names[0] if names else None


class CommandLine:
    """The tasks and options that there are."""

    def __init__(self, core: ParserContext, contexts: TaskContexts) -> None:
        self._core, self._contexts = core, contexts

    def resolve(self, words: Iterable[str]) -> ResolvedWords:
        """Resolve the words after `inv` and its own options. Raises InputError."""
        resolved: list[str] = []
        asked_for_help, named, doubtful = None, list[str](), list[tuple[str, str]]()
        task: TaskWords | None = None
        rest = iter(words)
        for word in rest:
            if word.partition("=")[0] in HELP and task:
                asked_for_help = task.name
            elif word.startswith("-") and word != "-":
                resolved += self._option(task, word, rest)
            elif task and (option := task.next_positional):
                resolved += self._value(task, option, word)
            elif word in self._contexts:
                if task and task.list_option:
                    doubtful.append((word, flag_of(task.list_option)))
                self._require_complete(task, asked_for_help)
                task = self._begin(word)
                resolved.append(word)
                named.append(word)
            elif task and task.list_option:
                resolved += self._value(task, task.list_option, word)
            else:
                raise self._unknown_word(task, word, rest)
        self._require_complete(task, asked_for_help)
        return ResolvedWords(tuple(resolved), asked_for_help, tuple(dict.fromkeys(named)), tuple(doubtful))

    def _begin(self, name: str) -> TaskWords:
        return TaskWords(name, self._contexts[name], getattr(self._contexts.task(name), "words", None))

    def _option(self, task: TaskWords | None, word: str, rest: Iterator[str]) -> list[str]:
        flag, equals, value = word.partition("=")
        context = self._context_with(task, flag)
        if context is None:
            raise self._unknown_option(task, flag)
        argument = _argument(context, flag)
        if not argument.takes_value:
            if equals:
                raise InputError(f"{_of(task)}{flag} takes no value, got {value!r}")
            return [word]
        if argument.optional and not equals:
            return [word]
        if not equals:
            value = next(rest, "--")
            if value == "--" or value in HELP or self._context_with(task, value.partition("=")[0]):
                raise _missing_value(task, flag, argument)
        if _is_empty(value):
            raise InputError(f"{_of(task)}{flag} got an empty value", hint=_usage(flag, argument))
        if task and context is task.context:
            self._once(task, flag, argument)
        return [f"{flag}={value}"] if flag.startswith("--") else [flag, value]

    def _context_with(self, task: TaskWords | None, flag: str) -> ParserContext | None:
        contexts = [task.context, self._core] if task else [self._core]
        return next((each for each in contexts if flag in each.flags or flag in each.inverse_flags), None)

    def _once(self, task: TaskWords, flag: str, argument: Argument) -> None:
        if argument.name in task.given and argument.kind is not list:
            raise InputError(f"{_of(task)}{flag} was given twice", hint=f"It takes one {value_name(argument.name)}.")
        task.given.add(argument.name or "")

    def _value(self, task: TaskWords, option: str, word: str) -> list[str]:
        if _is_empty(word):
            raise InputError(f"{task.name}: {value_name(option)} is empty", hint=f"inv --help {task.name}")
        task.given.add(option)
        return [f"{flag_of(option)}={word}"]

    def _require_complete(self, task: TaskWords | None, asked_for_help: str | None) -> None:
        if task is None or asked_for_help:
            return
        missing = task.next_positional
        if missing is None and getattr(self._contexts.task(task.name), "needs_words", False):
            missing = None if task.list_option in task.given else task.list_option
        if missing:
            name = value_name(missing)
            raise InputError(f"{task.name} needs a {name}", hint=f"inv {task.name} {name}, or inv --help {task.name}")

    def _unknown_option(self, task: TaskWords | None, flag: str) -> InputError:
        from tasks.command_line.suggestions import suggest_option

        own = [*task.context.flags, *task.context.inverse_flags] if task else [*self._core.flags]
        others = {
            name: [*context.flags]
            for name, context in self._contexts.items()
            if task is None or name.rpartition(".")[2] == task.name.rpartition(".")[2]
        }
        what = f"{task.name} has no option {flag}" if task else f"inv itself has no option {flag}"
        return InputError(what, hint=suggest_option(flag, own, others, task.name if task else None) or None)

    def _unknown_word(self, task: TaskWords | None, word: str, rest: Iterator[str]) -> InputError:
        from tasks.command_line.suggestions import suggest_task

        hint = suggest_task(word, next(rest, ""), self._contexts)
        if task:
            if "--host" in task.context.flags and "Did you mean" not in hint:
                hint = f"Hosts are given by an option: inv {task.name} --host {word}"
            return InputError(f"{task.name} takes no further word, and {word!r} is no task", hint=hint)
        return InputError(f"there is no task {word!r}", hint=hint)


def _argument(context: ParserContext, flag: str) -> Argument:
    found: Argument = context.flags[context.inverse_flags.get(flag, flag)]
    return found


def _is_empty(value: str) -> bool:
    """Whether there is nothing in it, or in the comma-separated list that it is."""
    return not value.strip(" ,\t\n")


def _missing_value(task: TaskWords | None, flag: str, argument: Argument) -> InputError:
    return InputError(f"{_of(task)}{flag} needs a value", hint=_usage(flag, argument))


def _usage(flag: str, argument: Argument) -> str:
    return f"{flag} {value_name(argument.name)}: {argument.help}"


def _of(task: TaskWords | None) -> str:
    return f"{task.name}: " if task else ""
