"""What every task shares: the decorator, the settings, and options that the person typed."""

from __future__ import annotations

import errno
import functools
import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import invoke

from tasks.terminal import note
from tritonops.errors import InputError, TritonOpsError
from tritonops.project import Project
from tritonops.redaction import redact

PROJECT = Path(__file__).resolve().parent.parent
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
    iterable: Sequence[str] = (),
    default: bool = False,
) -> Callable[[Callable[..., None]], invoke.Task[Any]]:
    """Make an Invoke task whose expected errors become a message, a hint and an exit code.

    Options have long flags only: Invoke hands out free letters, so a new option would rename an old one.
    """

    def decorate(body: Callable[..., None]) -> invoke.Task[Any]:
        made: invoke.Task[Any] = invoke.task(
            name=name,
            help=help or {},
            positional=list(positional),
            iterable=list(iterable),
            default=default,
            auto_shortflags=False,
        )(_reports_errors(body))
        return made

    return decorate


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
        try:
            body(*args, **kwargs)
            sys.stdout.flush()
        except TritonOpsError as exc:
            _show_traceback_when_debugging()
            raise invoke.Exit(_worded(exc), code=exc.exit_code) from exc
        except KeyboardInterrupt as exc:
            _show_traceback_when_debugging()
            raise invoke.Exit("interrupted", code=INTERRUPTED) from exc
        except BrokenPipeError as exc:
            _discard_stdout()
            raise invoke.Exit(code=1) from exc
        except OSError as exc:
            # One without a name may be about stdout, and is the program's.
            if not isinstance(exc.filename, str) or exc.errno not in _SYSTEM_ERRORS:
                raise
            _show_traceback_when_debugging()
            raise invoke.Exit(f"error: {exc.filename}: {exc.strerror}", code=1) from exc

    return run


def _discard_stdout() -> None:
    """The reader of our output has gone (`| head`); keep the interpreter from complaining when it flushes."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _worded(error: TritonOpsError) -> str:
    word = "different" if error.exit_code == 4 else "error"
    return f"{word}: {error}" + (f"\nhint: {error.hint}" if error.hint else "")


def _show_traceback_when_debugging() -> None:
    if logging.getLogger("invoke").isEnabledFor(logging.DEBUG):
        note(redact(traceback.format_exc()))


@functools.cache
def project() -> Project:
    """This checkout, read once for each task; what looks misspelt in the environment or .env is named once."""
    found = Project.load(PROJECT)
    for warning in found.settings.environment.warnings:
        if warning not in _warned:
            _warned.add(warning)
            print(f"warning: {warning}", file=sys.stderr)
    return found


_warned: set[str] = set()


def names(values: Iterable[str] | None) -> list[str]:
    """Flatten an option that may be given several times, and take comma-separated lists too."""
    return [name for value in values or () for part in value.split(",") if (name := part.strip())]


def integer(option: str, value: str | int | None, *, at_least: int = 0) -> int | None:
    """Read a whole number that was typed; Invoke's own conversion would end in a traceback."""
    if value is None:
        return None
    try:
        number = int(value)
    except ValueError:
        number = at_least - 1
    if number < at_least:
        raise InputError(f"{option} {value}: want a whole number of at least {at_least}")
    return number


def file_path(option: str, value: str | None) -> Path | None:
    """Read a path that was typed; a `~` that the shell left alone counts too."""
    from tritonops.files import expand_home

    try:
        return None if value is None else Path(expand_home(value))
    except ValueError as exc:
        raise InputError(f"{option} {value}: {exc}") from exc


def seconds(option: str, value: str | float | None) -> float | None:
    """Read a duration in seconds that was typed."""
    if value is None:
        return None
    try:
        duration = float(value)
    except ValueError:
        duration = -1.0
    if not 0 <= duration < float("inf"):
        raise InputError(f"{option} {value}: want a number of seconds")
    return duration


def uv() -> str:
    """Find uv: on the PATH, or where the bootstrap put it."""
    import shutil

    beside = Path(sys.executable).with_name("uv")
    if found := shutil.which("uv") or (str(beside) if beside.exists() else None):
        return found
    raise TritonOpsError("uv is not installed", hint="https://docs.astral.sh/uv/getting-started/installation/")
