"""How an expected error is shown: a message and a hint, and with --json one document on stdout."""

from __future__ import annotations

import sys

from tasks.output import terminal
from tritonops.errors import TritonOpsError


def report_error(error: TritonOpsError, *, json: bool) -> str:
    """Word an error for stderr. With `json`, print its document first, unless the task has printed its result."""
    if json and not terminal.has_printed_json():
        document = {"message": str(error), "hint": error.hint, "exit_code": error.exit_code}
        terminal.print_json({"error": document})
    word = "different:" if error.exit_code == 4 else "error:"
    shown = f"{_in_colour(word, '33' if error.exit_code == 4 else '31')} {error}"
    return shown + (f"\n{_in_colour('hint:', '36')} {error.hint}" if error.hint else "")


def _in_colour(word: str, colour: str) -> str:
    return f"\033[{colour}m{word}\033[0m" if terminal.coloured(sys.stderr) else word
