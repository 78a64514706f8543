"""How an expected error is shown: a message and a hint, and with --json one document on stdout."""

from __future__ import annotations

from tasks.output import terminal
from tritonops.errors import TritonOpsError


def report_error(error: TritonOpsError, *, json: bool) -> str:
    """Word an error for stderr. With `json`, print its document first, unless the task has printed its result."""
    if json and not terminal.has_printed_json():
        document = {"message": str(error), "hint": error.hint, "exit_code": error.exit_code}
        terminal.print_json({"error": document})
    word = "different" if error.exit_code == 4 else "error"
    return f"{word}: {error}" + (f"\nhint: {error.hint}" if error.hint else "")
