"""Trials on the ONNX Runtime of this machine: whether a graph loads, with which tensors, and whether it takes batches.

Names in a graph are hints. f(concat) = concat(f), on seeded inputs of several sizes, is what Triton relies on: where
rows depend on each other, or an output has another number of rows than its input, one client gets rows of another's
request.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import queue
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tritonops.models.graphs.onnx_graph import GraphTensor

TIMEOUT = 30.0
"""Seconds for one graph."""
_FIXED_MEMORY = 2 << 30
"""Address space of the interpreter, of ONNX Runtime and of its threads."""
_MOST_FILES = 1000
_GRACE = 10.0
PROGRAM = Path(__file__).with_name("trial_program.py")


@dataclass(frozen=True)
class TrialRequest:
    """A graph to try."""

    path: Path
    batches: bool = False
    """Whether to try batches too."""
    rows: int = 5
    """The number of rows of a batch."""
    sizes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """The sizes of inputs behind the batch, as a config gives them; -1 for any."""
    libraries: tuple[str, ...] = ()
    """Libraries of custom operators."""


@dataclass(frozen=True)
class BatchTrial:
    """Whether a graph takes batches; `reason` says why that is not proved."""

    verdict: Literal["proved", "refuted", "unknown"]
    reason: str = ""
    cause: Literal["rows", "company", ""] = ""
    """Of a refutation: the number of rows differs, or a row's output depends on the other rows."""


PROVED = BatchTrial("proved")
NOT_TRIED = BatchTrial("unknown", "it was not tried")


@dataclass(frozen=True)
class Trial:
    """The result for a graph."""

    state: Literal["loaded", "refused", "crashed", "unknown"]
    reason: str = ""
    kind: str = ""
    """Of a refusal, ONNX Runtime's name for it: "NotImplemented" for a kernel that its CPU provider lacks."""
    inputs: tuple[GraphTensor, ...] = ()
    optional_inputs: tuple[GraphTensor, ...] = ()
    outputs: tuple[GraphTensor, ...] = ()
    """As ONNX Runtime infers them; a shape that it cannot infer looks like a scalar's, as it does to Triton."""
    batches: BatchTrial = NOT_TRIED


def try_graph(request: TrialRequest, *, timeout: float = TIMEOUT) -> Trial:
    """Try one graph."""
    return try_graphs([request], timeout=timeout)[request]


def try_graphs(
    requests: Iterable[TrialRequest],
    *,
    timeout: float = TIMEOUT,
    on_start: Callable[[TrialRequest], object] = lambda _: None,
) -> dict[TrialRequest, Trial]:
    """Try each graph in a process of its own, with limits on time and memory; as many at once as there are CPUs."""
    requested = list(dict.fromkeys(requests))
    if not requested or importlib.util.find_spec("onnxruntime") is None:
        return {request: _unknown("onnxruntime is not installed") for request in requested}
    waiting: queue.SimpleQueue[TrialRequest] = queue.SimpleQueue()
    for request in requested:
        waiting.put(request)
    programs = [_TrialProgram() for _ in range(min(len(requested), len(os.sched_getaffinity(0))))]
    with ThreadPoolExecutor(len(programs)) as pool:
        try:
            found = list(pool.map(lambda program: _try_waiting(program, waiting, timeout, on_start), programs))
        except BaseException:
            _drain(waiting)  # after Ctrl-C, no other graph is begun
            for program in programs:
                program.kill()
            raise
    return {request: trial for part in found for request, trial in part.items()}


def _drain(waiting: queue.SimpleQueue[TrialRequest]) -> None:
    with suppress(queue.Empty):
        while True:
            waiting.get_nowait()


def _try_waiting(
    program: _TrialProgram,
    waiting: queue.SimpleQueue[TrialRequest],
    timeout: float,
    on_start: Callable[[TrialRequest], object],
) -> dict[TrialRequest, Trial]:
    found: dict[TrialRequest, Trial] = {}
    try:
        while True:
            request = waiting.get_nowait()
            on_start(request)
            found[request] = program.answer(request, timeout)
    except queue.Empty:
        return found
    finally:
        program.close()


class _TrialProgram:
    """One process of trial_program.py, started again where it ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def answer(self, request: TrialRequest, timeout: float) -> Trial:
        if missing := [library for library in request.libraries if not Path(library).is_file()]:
            return _unknown(f"its library of operators {missing[0]} is not on this machine")
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        with ThreadPoolExecutor(1) as pool:
            try:
                process.stdin.write(_line(request, timeout))
                process.stdin.flush()
                line = pool.submit(process.stdout.readline).result(timeout + _GRACE)
                return _parsed(json.loads(line))
            except (OSError, TimeoutError, ValueError) as exc:
                self.kill()
                self.close()
                return _unknown(f"the trial ended without an answer: {exc!r}")

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C would end it, and not the graph that runs in its child
            )
        return self._process

    def kill(self) -> None:
        """End the program and the graph that it tries."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        if self._process is not None:
            with self._process:
                assert self._process.stdin is not None
                self._process.stdin.close()  # its loop ends
        self._process = None


def _line(request: TrialRequest, timeout: float) -> str:
    values = {**asdict(request), "path": str(request.path), "sizes": dict(request.sizes)}
    limits = {"timeout": timeout, "memory": _memory_limit(request.path)}
    return f"{json.dumps({**values, **limits})}\n"


def _memory_limit(path: Path) -> int:
    """Give the bytes of address space that a graph with its weights may take."""
    return _FIXED_MEMORY + 3 * _size(path.parent)


def _size(folder: Path) -> int:
    """Sum up the first files of a folder: the graph and its weights."""
    size = 0
    for file in itertools.islice(folder.rglob("*"), _MOST_FILES):
        with suppress(OSError):
            size += file.stat().st_size if file.is_file() else 0
    return size


def _unknown(reason: str) -> Trial:
    return Trial("unknown", reason, batches=BatchTrial("unknown", reason))


def _parsed(answer: Mapping[str, Any]) -> Trial:
    if answer["state"] != "loaded":
        reason = _in_short(answer["reason"])
        return Trial(answer["state"], reason, answer.get("kind", ""), batches=BatchTrial("unknown", reason))
    return Trial(
        "loaded",
        inputs=_tensors(answer["inputs"]),
        optional_inputs=_tensors(answer["optional_inputs"]),
        outputs=_tensors(answer["outputs"]),
        batches=_batches(answer["batches"]) if "batches" in answer else NOT_TRIED,
    )


def _batches(values: Mapping[str, Any]) -> BatchTrial:
    return BatchTrial(values["verdict"], _ERROR_CODE.sub("", values["reason"]), values["cause"])


_ERROR_CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
_PREAMBLE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:Load model from .* failed:)?(?:/\S+ )?")


def _in_short(reason: str) -> str:
    """Leave out ONNX Runtime's error code and the path, which the message around it names."""
    return _PREAMBLE.sub("", reason) or reason


def _tensors(values: Sequence[tuple[str, str, list[int | str | None]]]) -> tuple[GraphTensor, ...]:
    return tuple(
        GraphTensor(name, _TYPES.get(type_), tuple("" if dim is None else dim for dim in shape))
        for name, type_, shape in values
    )


_TYPES = {
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(bfloat16)": "TYPE_BF16",
    **{f"tensor({sign}int{bits})": f"TYPE_{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "tensor(bool)": "TYPE_BOOL",
    "tensor(string)": "TYPE_STRING",
}
