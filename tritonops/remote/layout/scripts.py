"""Shell programs for hosts: the files of remote/scripts, with their variables set in front."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Sequence
from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "scripts"


def script(*names: str, arguments: Sequence[str] = (), **variables: str | int | bool) -> str:
    """Join these scripts into one program; values are quoted, and a bool is yes or no."""
    lines = [f"{name}={shlex.quote(_word(value))}\n" for name, value in variables.items()]
    if arguments:
        lines.append(f"set -- {shlex.join(arguments)}\n")
    return "".join([*lines, *map(_read, names)])


@functools.cache
def _read(name: str) -> str:
    """Read a script without its comments, which would travel to the host each time."""
    lines = (_FOLDER / f"{name}.sh").read_text("utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def _word(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
