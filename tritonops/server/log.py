"""Why models were not loaded, from the log of the embedded Triton: its API does not always say."""

from __future__ import annotations

import re
from pathlib import Path

from tritonops.errors import ServerDownError

_FAILED = re.compile(
    r"""(?:Poll\ failed\ for\ model\ directory\ |failed\ to\ load\ model\ |failed\ to\ load\ )
        '(?P<name>[^']+)'(?:\ version\ \d+)?:\ (?P<reason>.*)"$""",
    re.VERBOSE,
)
_LOADED = re.compile(r"""successfully loaded '(?P<name>[^']+)'""")
# The parser of config.pbtxt says where and what, on a line before the one that names the model.
_UNPARSED = re.compile(r"Error parsing text-format inference\.ModelConfig: (?P<where>\d+:\d+): (?P<what>.*)$")
_TRACEBACK = re.compile(r"\n+At:\n.*", re.DOTALL)
_NO_BACKEND = re.compile(r"unable to find backend library for backend '(?P<name>[^']+)'")


def failure_reasons(log: Path) -> dict[str, str]:
    """Read the last word on each model that could not be loaded, by name."""
    reasons: dict[str, str] = {}
    unparsed = ""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if found := _UNPARSED.search(line):
            unparsed = f" (line {found['where'].replace(':', ', column ')}: {found['what']})"
        elif found := _FAILED.search(line):
            reasons[found["name"]] = explained(found["reason"].replace("\\n", "\n") + unparsed)
            unparsed = ""
        elif found := _LOADED.search(line):
            reasons.pop(found["name"], None)
    return reasons


def explained(reason: str) -> str:
    """Put one of Triton's reasons as a person needs it: without the traceback, and with what it means here."""
    if found := _NO_BACKEND.search(reason):
        return f"the embedded Triton has no backend {found['name']!r}, only 'onnxruntime' and 'python'; use Compose"
    if "invalid or unsupported gpu id" in reason or "KIND_GPU" in reason:
        return f"{_TRACEBACK.sub('', reason)} (the embedded Triton uses no GPU: try `inv models.config --cpu`)"
    return _TRACEBACK.sub("", reason)


def tail_command(log: Path, *, lines: int, follow: bool) -> list[str]:
    """Build the command that prints the end of a log and, to `follow` it, goes on with that of the next server.

    Raises ServerDownError where no server ever wrote it.
    """
    if not log.exists():
        raise ServerDownError(log)
    return ["tail", "-n", str(lines), *(["-F"] if follow else []), str(log)]


def last_words(log: Path) -> str:
    """Give the last errors of a server that ended: Triton's lines begin with E, others say "error"."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    errors = [line for line in lines if re.match(r"E\d{4} |.*\berror\b", line, re.IGNORECASE)]
    return "\n".join((errors or lines)[-3:])
