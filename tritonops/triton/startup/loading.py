"""Load every model of a server that has just started, so that no model keeps another out of service.

With `--load-model=*`, Triton answers no request until the last load has ended: one load that never ends blocks all
models, and one that crashes the server takes all of them down. So the server is started without models, and each is
loaded by a call with a timeout of its own.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tritonops.display_text import clip
from tritonops.errors import TritonError, TritonOpsError, TritonUnreachableError
from tritonops.models.disk.repository import Repository
from tritonops.models.rules.hazards import hazard, steps_on_disk
from tritonops.triton.client.client import TritonClient, connect
from tritonops.triton.client.waiting import Deadline
from tritonops.triton.disk.comparison import record_if_served
from tritonops.triton.disk.served_folder import ModelOnDisk, ServedFolder
from tritonops.triton.startup.load_call import LoadCall
from tritonops.triton.startup.load_log import LoadLog, crash_message
from tritonops.triton.startup.load_timeout import load_timeout

ReadLog = Callable[[int], tuple[str, int]]
"""Reads the log from a position (0 for all), and returns the text with the new position."""
OnProgress = Callable[[Sequence[str], int], None]
"""Called several times a second with the models that are being loaded, and the number of those that wait."""
PARALLEL = 4
"""The number of loads at a time, as with Triton's `--load-model=*`."""
_MAX_CRASHES = 8
_POLL = 0.05
_CRASH_SECONDS = 5.0
_MAX_ANSWER = 10_000


@dataclass
class Loading:
    """The models to load, and those that are not loaded, with the reason. It outlives crashes of the server."""

    models_dir: Path
    model_timeout: float | None = None
    """Seconds for one load (default: 60, more for large files)."""
    reasons: dict[str, str] = field(default_factory=dict)
    """By model, why it was left out or aborted, and is not tried again."""
    together: list[str] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)
    """The models that were being loaded in a crash, one of which caused it; each is loaded alone."""
    ensembles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Ensembles with their steps, loaded last and one by one: Triton refuses one while a step is loading."""
    answers: dict[str, str] = field(default_factory=dict)
    """By model, Triton's answer to a failed load."""
    crashes: int = 0
    on_progress: OnProgress = lambda active, waiting: None

    @classmethod
    def of(
        cls,
        models_dir: Path,
        *,
        refuse: Callable[[str], str | None],
        model_timeout: float | None = None,
        names: Iterable[str] | None = None,
        on_progress: OnProgress = lambda active, waiting: None,
    ) -> Loading:
        """Prepare the loads of the enabled models, or of `names`; `refuse` gives the reason to leave one out."""
        names = Repository(models_dir).enabled_names() if names is None else tuple(names)
        reasons = {name: reason for name in names if (reason := refuse(name) or _hazard(models_dir / name))}
        ensembles = {name: steps for name in names if (steps := steps_on_disk(models_dir / name))}
        together = [name for name in names if name not in ensembles]
        return cls(models_dir, model_timeout, reasons, together, ensembles=ensembles, on_progress=on_progress)

    def run(
        self, url: str, read_log: ReadLog, is_alive: Callable[[], bool], *, token: str | None, deadline: Deadline
    ) -> bool:
        """Load all models; False if the server crashed, for a new run on a new server."""
        with connect(url, token=token) as client:
            for names, width in ((self.together, PARALLEL), (self.alone, 1), (self._in_order(), 1)):
                self._leave_out_ensembles()
                pending = [name for name in names if name not in self.reasons]
                disk = ServedFolder.of(self.models_dir, url)
                run = _LoadRun(
                    client, disk, read_log, is_alive, {name: self._timeout_of(name) for name in pending}, deadline
                )
                crashed_at = run.load(width, self.on_progress)
                self.reasons |= run.reasons
                self.answers |= run.answers
                if crashed_at is not None:
                    self._crashed(crashed_at, read_log(0)[0])
                    return False
        return True

    def _crashed(self, loading: list[str], log: str) -> None:
        """Name the model that caused a crash, or let the next run load the suspects one by one."""
        self.crashes += 1
        cause = crash_message(log) or "it wrote no reason"
        if len(loading) == 1:
            self.reasons[loading[0]] = f"Triton crashed while it loaded this model: {cause}"
        elif self.crashes >= _MAX_CRASHES:
            tried = (
                f"not tried again: Triton crashed {self.crashes} times while it loaded {', '.join(loading)}: {cause}"
            )
            self.reasons |= dict.fromkeys(loading, tried)
        else:
            self.together = [name for name in self.together if name not in loading]
            self.alone += [name for name in loading if name not in self.alone]
        if self.crashes >= _MAX_CRASHES:
            self.reasons |= dict.fromkeys(self.alone, f"not tried: Triton crashed {self.crashes} times: {cause}")

    def _leave_out_ensembles(self) -> None:
        """Leave out ensembles with a step that was left out: Triton would load that step with them."""
        for name in self._in_order():
            if bad := [step for step in self.ensembles[name] if step in self.reasons]:
                self.reasons.setdefault(name, f"its step {bad[0]} would be loaded with it: {self.reasons[bad[0]]}")

    def _in_order(self) -> list[str]:
        """Order the ensembles: a step of another one comes before it."""
        ordered: list[str] = []
        left = {name: set(steps) & self.ensembles.keys() for name, steps in self.ensembles.items()}
        while left:
            # Ensembles in a circle are refused by Triton, in any order.
            ready = sorted(name for name, steps in left.items() if steps <= set(ordered)) or sorted(left)
            ordered += ready
            left = {name: steps for name, steps in left.items() if name not in ready}
        return ordered

    def _timeout_of(self, name: str) -> float:
        return load_timeout(self.models_dir / name) if self.model_timeout is None else self.model_timeout


def _hazard(model: Path) -> str | None:
    reason = hazard(model)
    return f"left out: {reason}" if reason else None


class _LoadRun:
    """The loads of one server process, until each has ended, is stuck or has timed out."""

    def __init__(
        self,
        client: TritonClient,
        disk: ServedFolder,
        read_log: ReadLog,
        is_alive: Callable[[], bool],
        timeouts: dict[str, float],
        deadline: Deadline,
    ) -> None:
        self._client, self._disk, self._read_log = client, disk, read_log
        self._is_alive, self._deadline = is_alive, deadline
        self._timeouts = timeouts
        self._waiting = deque(timeouts)
        self._active: dict[str, LoadCall] = {}
        self._on_disk: dict[str, ModelOnDisk | None] = {}
        self._ends: dict[str, float] = {}
        self._done: queue.SimpleQueue[LoadCall] = queue.SimpleQueue()
        self._load_log, self._position = LoadLog(), 0
        self._crashing_since: float | None = None
        self.reasons: dict[str, str] = {}
        self.answers: dict[str, str] = {}

    def load(self, width: int, on_progress: OnProgress) -> list[str] | None:
        """Load all; after a crash of the server, return the models that were being loaded."""
        while self._waiting or self._active:
            on_progress([*self._active], len(self._waiting))
            while self._waiting and len(self._active) < width and self._deadline.left > _POLL:
                self._begin(self._waiting.popleft())
            if not self._wait():
                return sorted(self._active)
            self._abort(self._stuck())
            self._abort(self._overdue())
            if self._deadline.left <= _POLL:
                reason = f"not loaded within the {self._deadline.timeout:g} s for all models; --timeout allows more"
                self.reasons |= dict.fromkeys([*self._active, *self._waiting], reason)
                break
        return None

    def _begin(self, model: str) -> None:
        self._on_disk[model] = self._disk.read(model)
        call = LoadCall(self._client, model, timeout=self._timeouts[model], done=self._done)
        self._active[model] = call
        self._ends[model] = time.monotonic() + call.timeout
        call.start()

    def _wait(self) -> bool:
        """Wait a moment for a load to end; False if the server has ended."""
        try:
            call = self._done.get(timeout=_POLL)
        except queue.Empty:
            return self._is_alive() and not self._hangs_in_a_crash()
        if isinstance(call.error, TritonUnreachableError) and not self._survives():
            return False
        if call.error and not isinstance(call.error, TritonOpsError):
            raise call.error
        self._active.pop(call.model, None)
        if call.error is None:
            self._record(call.model)
        elif isinstance(call.error, TritonError):
            answer = call.error.answer.removeprefix(f"load failed for model '{call.model}': ")
            self.answers[call.model] = clip(answer, _MAX_ANSWER)
        return True

    def _record(self, name: str) -> None:
        """Record what is served, to notice later if another client loads another config."""
        if model := self._on_disk[name]:
            with suppress(TritonOpsError):
                record_if_served(self._client, self._disk, model)

    def _hangs_in_a_crash(self) -> bool:
        """Whether Triton hangs while it writes the stack trace of a crash, waiting for a lock of its own."""
        if not self._load_log.is_crashing:
            return False
        self._crashing_since = self._crashing_since or time.monotonic()
        return time.monotonic() - self._crashing_since > _CRASH_SECONDS

    def _survives(self) -> bool:
        """Whether the server keeps running; one that crashes closes its connections a moment before it ends."""
        return all(self._is_alive() for _ in Deadline.after(2.0).polls())

    def _stuck(self) -> dict[str, str]:
        text, self._position = self._read_log(self._position)
        self._load_log.feed(text)
        return self._load_log.stuck

    def _overdue(self) -> dict[str, str]:
        now = time.monotonic()
        late = (call for name, call in self._active.items() if self._ends[name] < now)
        return {call.model: f"still loading after {call.timeout:g} s; --model-timeout allows more" for call in late}

    def _abort(self, reasons: dict[str, str]) -> None:
        for name in reasons.keys() & self._active.keys():
            self.reasons[name] = reasons[name]
            del self._active[name]


def load_threads(names: Iterable[str]) -> int:
    """Give the number of load threads that Triton needs, since a load that never ends blocks one forever."""
    return min(256, 2 * PARALLEL + len(tuple(names)))
