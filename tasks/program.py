"""Invoke's own program, with this project's manners: exit codes, and no traceback for Ctrl-C or `| head`."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import ModuleType

# Until a task runs, Ctrl-C ends the process as it does any other: no traceback of half an import.
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

# Invoke imports unittest.mock, and asyncio with it, for a class that only tests use: a fifth of every start.
# And most of what a short run makes stays: to look through it for garbage again and again costs a thirtieth.
if __name__ == "__main__":
    gc.set_threshold(20_000, 20, 20)
    sys.modules["unittest.mock"] = ModuleType("unittest.mock")
    vars(sys.modules["unittest.mock"])["Mock"] = object

from collections.abc import Iterator
from contextlib import contextmanager

from invoke import Exit, ParseError, Program, __version__
from invoke.util import LOG_FORMAT

if __name__ == "__main__":
    del sys.modules["unittest.mock"]


class TaskProgram(Program):
    """What `./inv` runs; Invoke itself exits with 1 for a wrong command line, which means here that a task failed."""

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        """Run it; a reader of the list or the help who has gone (`| head`) is no reason for a traceback."""
        try:
            try:
                super().run(argv, exit)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left has nowhere to go
            sys.exit(1)

    def parse_core(self, argv: list[str] | None) -> None:
        """Read the options of Invoke itself."""
        with _wrong_input():
            super().parse_core(argv)

    def parse_collection(self) -> None:
        """Load the tasks."""
        super().parse_collection()
        if self.args.debug.value:
            _redact_logs()

    def parse_tasks(self) -> None:
        """Read the tasks and their options."""
        with _wrong_input():
            super().parse_tasks()

    def execute(self) -> None:
        """Run the tasks, which end on Ctrl-C by themselves and clean up."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        super().execute()


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


if __name__ == "__main__":
    sys.argv[0] = "inv"
    TaskProgram(name="Invoke", binary="inv[oke]", binary_names=["inv", "invoke"], version=__version__).run()
