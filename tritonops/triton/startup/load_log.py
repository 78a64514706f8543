"""Loads that never end, recognized in Triton's log: the process that should run the model could not start.

Triton waits for that process forever, the model stays LOADING, and only a restart of the server ends that
(triton-inference-server/server#8766 and #8162).
"""

from __future__ import annotations

import re
import signal

RESTART_HINT = "Fix the model, then restart the server: Triton neither ends this load nor unloads the model."

_BEGUN = re.compile(r'"loading: (?P<name>.+):\d+"$')
_ENDED = re.compile(r"(?:successfully loaded|failed to load) '(?P<name>[^']+)'")
# SIGILL, SIGABRT, SIGBUS, SIGFPE and SIGSEGV.
_FAULT = re.compile(r"^Signal \((4|6|7|8|11)\) received")
_WITHOUT_GPU = re.compile(
    "CudaDriverHelper has not been initialized|unable to create stream for|pinned memory pool will not be available"
)
_STACK = re.compile(r"\s*[0-9]+# ")
# The stub found no model file, and ended before it reported to Triton.
_NO_FILE = "Failed to preinitialize Python stub: "
# The shell could not run a model's own stub: another architecture, a missing library, no permission.
_NO_STUB = "/triton_python_backend_stub: "


class LoadLog:
    """Parses Triton's log as it grows, and finds the loads that are stuck."""

    def __init__(self) -> None:
        self.stuck: dict[str, str] = {}
        """By model, the reason of a load that cannot end."""
        self.is_crashing = False
        """Whether the server logged the signal of a fault; it may hang while it writes its stack trace."""
        self.loading: set[str] = set()
        """The models whose load has begun, or is queued, and has not ended."""
        self._rest = ""

    def feed(self, text: str) -> None:
        """Parse more text; the last line may be incomplete."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._read(line)

    def _read(self, line: str) -> None:
        self.is_crashing = self.is_crashing or bool(_FAULT.match(line))
        if found := _BEGUN.search(line) or _ENDED.search(line):
            name = found["name"]
            self.stuck.pop(name, None)
            (self.loading.add if found.re is _BEGUN else self.loading.discard)(name)
        elif (failure := _stub_failure(line)) and failure[0] in self.loading:
            self.stuck[failure[0]] = f"its load cannot end: {failure[1]}"


def _stub_failure(line: str) -> tuple[str, str] | None:
    """Give the model whose stub did not start, and the reason. No pattern, since lines may be very long."""
    _, no_file, path = line.partition(_NO_FILE)
    if no_file:
        # …/<model>/<version>/model.py'
        parts = path.split("/")
        return (parts[-3], no_file + path) if len(parts) > 2 else None
    path, no_stub, reason = line.partition(_NO_STUB)
    if no_stub and reason.strip() != "Success":  # bash prints that after the true reason
        return path.rpartition("/")[2], line.strip()
    return None


def stuck_loads(log: str) -> dict[str, str]:
    """Find the stuck loads of a whole log, with the reason of each."""
    load_log = LoadLog()
    load_log.feed(f"{log}\n")
    return load_log.stuck


def crash_message(log: str) -> str | None:
    """Find why a server crashed: the exception with its message, or the signal; None if neither was logged."""
    # The last match is the server's own; the process of a model may have logged one before.
    if matches := [*re.finditer(r"^(terminate called .*)(?:\n\s*(what\(\): .*))?", log, re.MULTILINE)]:
        return ", ".join(words.strip() for words in matches[-1].groups() if words)
    fault = re.search(_FAULT.pattern, log, re.MULTILINE)
    return f"it got the signal {signal.Signals(int(fault[1])).name}" if fault else None


def last_lines(log: str, count: int = 5) -> list[str]:
    """Give the last lines of a server that crashed, without its stack trace."""
    return [line.strip() for line in relevant_lines(log) if not _STACK.match(line)][-count:]


def relevant_lines(log: str) -> list[str]:
    """Drop empty lines, and the errors that Triton logs on every machine without a GPU."""
    return [line for line in log.splitlines() if line.strip() and not _WITHOUT_GPU.search(line)]


def waits_for_loads_only(log: str) -> bool:
    """Whether a stopping server has answered all requests, and only waits for loads."""
    _, is_idle, after = log.rpartition("Found 0 model versions that have in-flight inferences")
    return bool(is_idle) and "is currently loading or unloading" in after
