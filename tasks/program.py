"""Invoke's own program, but for one thing: a command line that it cannot read ends with exit code 2, wrong input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from invoke import Exit, ParseError, Program, __version__


class TaskProgram(Program):
    """What `./inv` runs; Invoke itself exits with 1, which means here that an operation failed."""

    def parse_core(self, argv: list[str] | None) -> None:
        """Read the options of Invoke itself."""
        with _wrong_input():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        """Read the tasks and their options."""
        with _wrong_input():
            super().parse_tasks()


@contextmanager
def _wrong_input() -> Iterator[None]:
    try:
        yield
    except ParseError as exc:
        raise Exit(f"error: {exc}", code=2) from exc


if __name__ == "__main__":
    sys.argv[0] = "inv"
    TaskProgram(name="Invoke", binary="inv[oke]", binary_names=["inv", "invoke"], version=__version__).run()
