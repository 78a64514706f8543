"""The decorator of every task: an Invoke task whose expected errors become a message, a hint and an exit code."""

from __future__ import annotations

import errno
import functools
import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import invoke
from invoke.parser import Argument

from tasks.output.error_output import report_error
from tasks.output.terminal import begin_task, note
from tasks.shared.checkout import project
from tritonops.errors import TritonOpsError
from tritonops.redaction import redact

_SYSTEM_ERRORS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.EMFILE, errno.ENFILE, errno.ENOTDIR, errno.EISDIR, errno.ESTALE, errno.ETXTBSY, errno.ENODEV, errno.ENXIO),
}
"""What a disk, its permissions and its limits can answer to any path: for a person to change, and no bug of ours."""
INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def task(
    *,
    name: str | None = None,
    help: dict[str, str] | None = None,
    positional: Sequence[str] = (),
    words: str | None = None,
    needs_words: bool = False,
    iterable: Sequence[str] = (),
    default: bool = False,
    read_only: bool = False,
    examples: Sequence[str] = (),
    environment: Sequence[str] = (),
) -> Callable[[Callable[..., None]], invoke.Task[Any]]:
    """Make an Invoke task whose expected errors become a message, a hint and an exit code.

    Options have long flags only: Invoke hands out free letters, so a new option would rename an old one. `words` is the
    option that words behind the task's name are values of (Invoke has no positional lists); with `needs_words`, one is
    required. A `read_only` task changes nothing, so --dry runs it. `examples` (without "inv") and the variables of
    `environment` are for its help.
    """

    def decorate(body: Callable[..., None]) -> invoke.Task[Any]:
        made: invoke.Task[Any] = invoke.task(
            klass=_Task,
            name=name,
            help=help or {},
            positional=list(positional),
            iterable=list(iterable),
            default=default,
            auto_shortflags=False,
        )(_reports_errors(body))
        vars(made).update(words=words, needs_words=needs_words, read_only=read_only)
        vars(made).update(examples=tuple(examples), environment=tuple(environment))
        return made

    return decorate


class _Task(invoke.Task):  # type: ignore[type-arg]  # generic for type checkers alone
    """Keeps its help: Invoke takes it out the first time that it is asked for.

    Invoke copies each task of tasks.py, which nobody changes: a twentieth of a short run.
    """

    def __deepcopy__(self, memo: object) -> _Task:
        return self

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Give the arguments, with their help each time."""
        help = dict(self.help)
        try:
            return super().get_arguments(ignore_unknown_help)
        finally:
            self.help = help


class _InterruptedError(TritonOpsError):
    """Ctrl-C, as a document."""

    exit_code = INTERRUPTED


class _Notes(logging.Handler):
    """Shows what the library logs, such as the files that a command replaces."""

    def emit(self, record: logging.LogRecord) -> None:
        note(self.format(record))


logging.getLogger("tritonops").handlers = [_Notes()]


def _reports_errors(body: Callable[..., None]) -> Callable[..., None]:
    """Anything that is not a TritonOpsError is a bug and keeps its traceback; `inv -d` shows every one."""

    @functools.wraps(body)
    def run(*args: Any, **kwargs: Any) -> None:
        project.cache_clear()  # the task before it may have changed models.toml
        begin_task()
        wants_json = bool(kwargs.get("json"))
        try:
            body(*args, **kwargs)
            sys.stdout.flush()
        except TritonOpsError as exc:
            _show_traceback_when_debugging()
            raise invoke.Exit(report_error(exc, json=wants_json), code=exc.exit_code) from exc
        except KeyboardInterrupt as exc:
            _show_traceback_when_debugging()
            if wants_json:
                report_error(_InterruptedError("interrupted"), json=True)
            raise invoke.Exit("interrupted", code=INTERRUPTED) from exc
        except BrokenPipeError as exc:
            _discard_stdout()
            raise invoke.Exit(code=1) from exc
        except OSError as exc:
            # One without a name may be about stdout, and is the program's.
            if not isinstance(exc.filename, str) or exc.errno not in _SYSTEM_ERRORS:
                raise
            _show_traceback_when_debugging()
            error = TritonOpsError(f"{exc.filename}: {exc.strerror}")
            raise invoke.Exit(report_error(error, json=wants_json), code=1) from exc

    return run


def _discard_stdout() -> None:
    """The reader of our output has gone (`| head`); keep the interpreter from complaining when it flushes."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_traceback_when_debugging() -> None:
    if logging.getLogger("invoke").isEnabledFor(logging.DEBUG):
        note(redact(traceback.format_exc()))
