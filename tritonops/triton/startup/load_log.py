"""Loads that never end, told from Triton's log: the process that should run the model could not start.

Triton goes on waiting for that process, the model stays LOADING, and only a restart of the server ends it
(triton-inference-server/server#8766 and #8162).
"""

from __future__ import annotations

import re
import signal

RESTART_HINT = "Fix the model, then restart the server: Triton never ends this load, nor unloads the model."

_BEGUN = re.compile(r'"loading: (?P<name>.+):\d+"$')
_ENDED = re.compile(r"(?:successfully loaded|failed to load) '(?P<name>[^']+)'")
# SIGILL, SIGABRT, SIGBUS, SIGFPE and SIGSEGV.
_FAULT = re.compile(r"^Signal \((4|6|7|8|11)\) received")
_WITHOUT_GPU = re.compile(
    "CudaDriverHelper has not been initialized|unable to create stream for|pinned memory pool will not be available"
)
_STACK = re.compile(r"\s*[0-9]+# ")
# The stub found no model file, and ended before it told Triton that it is there.
_NO_FILE = "Failed to preinitialize Python stub: "
# The shell could not run a model's own stub: another architecture, a missing library, no permission.
_NO_STUB = "/triton_python_backend_stub: "


class LoadLog:
    """Follows Triton's log: feed it what was written since, and it knows which loads are stuck."""

    def __init__(self) -> None:
        self.stuck: dict[str, str] = {}
        """The models whose load cannot end, with what the log says."""
        self.is_crashing = False
        """Whether the server wrote that it got the signal of a fault; it may hang while it writes its last words."""
        self.loading: set[str] = set()
        """The models of which a load was begun, or waits for its turn, and has not ended."""
        self._rest = ""

    def feed(self, text: str) -> None:
        """Read on; the last line may be cut anywhere."""
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
    """Give the model whose stub did not start, and what was logged of it. No pattern: lines may be of any length."""
    _, no_file, path = line.partition(_NO_FILE)
    if no_file:
        # …/<model>/<version>/model.py'
        parts = path.split("/")
        return (parts[-3], no_file + path) if len(parts) > 2 else None
    path, no_stub, reason = line.partition(_NO_STUB)
    if no_stub and reason.strip() != "Success":  # bash says that after the true reason
        return path.rpartition("/")[2], line.strip()
    return None


def stuck_loads(log: str) -> dict[str, str]:
    """Read which loads of a whole log are stuck, and what it says of each."""
    following = LoadLog()
    following.feed(f"{log}\n")
    return following.stuck


def crash_message(log: str) -> str | None:
    """Give the words of a server that crashed: what was thrown, and what it says, or the signal; None for no words."""
    # The last words are the server's own; a model's process may have written such before.
    if found := [*re.finditer(r"^(terminate called .*)(?:\n\s*(what\(\): .*))?", log, re.MULTILINE)]:
        return ", ".join(words.strip() for words in found[-1].groups() if words)
    fault = re.search(_FAULT.pattern, log, re.MULTILINE)
    return f"it got the signal {signal.Signals(int(fault[1])).name}" if fault else None


def last_lines(log: str, count: int = 5) -> list[str]:
    """Give the last lines of a server that crashed, without those of the stack that it writes then."""
    return [line.strip() for line in relevant_lines(log) if not _STACK.match(line)][-count:]


def relevant_lines(log: str) -> list[str]:
    """Leave out empty lines, and the errors that Triton writes on every machine without a GPU."""
    return [line for line in log.splitlines() if line.strip() and not _WITHOUT_GPU.search(line)]


def waits_for_loads_only(log: str) -> bool:
    """Whether a server that was asked to stop has answered all requests, and waits for loads alone."""
    _, is_idle, after = log.rpartition("Found 0 model versions that have in-flight inferences")
    return bool(is_idle) and "is currently loading or unloading" in after
