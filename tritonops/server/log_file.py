"""The log of the embedded Triton, and what its reasons mean."""

from __future__ import annotations

import re
from pathlib import Path

from tritonops.errors import ServerDownError
from tritonops.triton.startup.failure_reasons import without_traceback
from tritonops.triton.startup.load_log import relevant_lines

_NO_BACKEND = re.compile(r"unable to find backend library for backend '(?P<name>[^']+)'")


def explain_reason(reason: str) -> str:
    """Reword one of Triton's reasons: without the traceback, and with what it means for the embedded Triton."""
    if found := _NO_BACKEND.search(reason):
        return f"the embedded Triton has no backend {found['name']!r}, only 'onnxruntime' and 'python'; use Compose"
    if "invalid or unsupported gpu id" in reason or "KIND_GPU" in reason:
        return f"{without_traceback(reason)} (the embedded Triton uses no GPU: try `inv models.config --cpu`)"
    return without_traceback(reason)


def tail_command(log: Path, *, lines: int, follow: bool) -> list[str]:
    """Build the command that prints the end of a log; `follow` continues with the log of the next server.

    Raises ServerDownError without a log.
    """
    if not log.exists():
        raise ServerDownError(log)
    return ["tail", "-n", str(lines), *(["-F"] if follow else []), str(log)]


def last_errors(log: Path) -> str:
    """Give the last errors of an ended server: lines that begin with E, or contain "error"."""
    lines = relevant_lines(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else []
    errors = [line for line in lines if re.match(r"E\d{4} |.*\berror\b", line, re.IGNORECASE)]
    return "\n".join((errors or lines)[-3:])


def read_from(log: Path, position: int) -> tuple[str, int]:
    """Read the log from a position; return the text and the new position, in bytes."""
    try:
        with log.open("rb") as file:
            file.seek(position)
            data = file.read()
    except OSError:
        return "", position
    return data.decode(errors="replace"), position + len(data)
