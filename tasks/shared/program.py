"""Invoke's own program, with this project's exit codes, and no traceback for Ctrl-C, `| head` or a full disk."""

from __future__ import annotations

import errno
import gc
import io
import os
import signal
import sys
from importlib import import_module
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
    gc.set_threshold(20_000, 20, 20)
    sys.modules.update(_stand_ins())
    if sys.version_info >= (3, 13) and not sys.prefix.isascii():
        try:
            sys.prefix.encode()
        except UnicodeEncodeError:  # compiled modules, PyYAML's for one, cannot be imported from there
            print(f"inv: Python 3.13 needs a path that is UTF-8; rename the folder: {sys.prefix!a}", file=sys.stderr)
            raise SystemExit(2) from None

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from invoke import Config, Exit, ParseError, Program, __version__
from invoke.util import LOG_FORMAT

if __name__ == "__main__":
    # From now on an import gets the real ones.
    for name in _stand_ins():
        del sys.modules[name]


_HIDDEN = {"remote.activate", "remote.prove"}


class TaskProgram(Program):
    """What `./inv` runs; Invoke itself exits with 1 for a wrong command line, which means here that a task failed."""

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        """Run it; a reader who has gone (`| head`) or a full disk is no reason for a traceback."""
        try:
            try:
                super().run(argv, exit)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            _discard(sys.stdout)
            sys.exit(1)
        except OSError as exc:
            if exc.filename is not None or exc.errno not in _WRITE_ERRORS:
                raise
            _discard(sys.stdout)
            sys.exit(f"error: cannot write: {exc.strerror}")

    def parse_core(self, argv: list[str] | None) -> None:
        """Read the options of Invoke itself."""
        with _wrong_input():
            super().parse_core(argv)
        if self.core.unparsed[1:2] == ["--help"]:  # a task with a NAME would take it for that
            self.args.help.value, self.core.unparsed = self.core.unparsed[0], []

    def parse_collection(self) -> None:
        """Load the tasks, and the hidden one that a client asks for by its name."""
        super().parse_collection()
        if _HIDDEN.intersection(self.argv):
            from tasks import activation

            for task in (activation.activate, activation.prove):
                self.collection.collections["remote"].add_task(task)
        if self.args.debug.value or os.environ.get("INVOKE_DEBUG"):
            _redact_logs()

    def parse_tasks(self) -> None:
        """Read the tasks and their options."""
        self.core.unparsed = [*self._with_named_words(self.core.unparsed)]
        with _wrong_input():
            super().parse_tasks()

    def _with_named_words(self, words: list[str]) -> Iterator[str]:
        """Make options of the words behind a task that takes a list of names, until an option or another task."""
        option: str | None = None
        for position, word in enumerate(words):
            if word == "--":
                yield from words[position:]
                return
            if word in self.collection.task_names or word.startswith("-"):
                option = getattr(self.collection[word], "words", None) if not word.startswith("-") else None
                yield word
            else:
                yield f"--{option}={word}" if option else word

    def execute(self) -> None:
        """Run the tasks, which end on Ctrl-C by themselves and clean up."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
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


class _Stderr(io.TextIOWrapper):
    """Progress and messages are a courtesy: where they cannot be written, the work goes on without them."""

    def write(self, text: str) -> int:
        """Write; after a failure, discard everything."""
        try:
            return super().write(text)
        except OSError:
            _discard(self)
            return len(text)

    def flush(self) -> None:
        """Flush; after a failure, discard everything."""
        try:
            super().flush()
        except OSError:
            _discard(self)


_WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EBADF}


def _discard(stream: io.TextIOBase | TextIO) -> None:
    """Send what is left, and what follows, nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _wrong_config() -> Iterator[None]:
    try:
        yield
    except Exception as exc:
        raise Exit(f"error: cannot read Invoke's settings: {exc}", code=2) from exc


@contextmanager
def _wrong_input() -> Iterator[None]:
    try:
        yield
    except ParseError as exc:
        hint = "`inv --list` shows the tasks, `inv --help TASK` the options of one."
        raise Exit(f"error: {exc}\nhint: {hint}", code=2) from exc


def _redact_logs() -> None:
    """With `-d` the libraries log too, urllib3 each URL with its query."""
    import logging

    from tritonops.redaction import redact

    class Redacted(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return redact(super().format(record))

    for handler in logging.getLogger().handlers:
        handler.setFormatter(Redacted(LOG_FORMAT))


def _prepare_streams() -> None:
    assert isinstance(sys.stdout, io.TextIOWrapper)
    assert isinstance(sys.stderr, io.TextIOWrapper)
    sys.stdout.reconfigure(errors="backslashreplace")  # a file name may be no text in the terminal's encoding
    encoding = sys.stderr.encoding
    sys.stderr = _Stderr(sys.stderr.detach(), encoding, "backslashreplace", line_buffering=True)


if __name__ == "__main__":
    sys.argv[0] = "inv"
    _prepare_streams()
    TaskProgram(
        name="Invoke",
        binary="inv[oke]",
        binary_names=["inv", "invoke"],
        version=__version__,
        config_class=_ProjectConfig,
    ).run()
