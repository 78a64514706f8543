"""Whether a graph takes batches, tried on ONNX Runtime: f(concat) = concat(f), on seeded inputs of several sizes.

Names in a graph are hints. Where rows depend on each other, or an output has another number of rows than its input,
Triton's dynamic batcher would give one client rows of another's request.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TIMEOUT = 20.0
_PROGRAM = Path(__file__).with_name("batch_trial_program.py")


@dataclass(frozen=True)
class BatchTrial:
    """The result of a trial; `reason` says why batches are not proved."""

    verdict: Literal["proved", "refuted", "unknown"]
    reason: str = ""


PROVED = BatchTrial("proved")


def try_batches(graph: Path, *, timeout: float = TIMEOUT) -> BatchTrial:
    """Run the graph in a process of its own, with a limit on its time and its memory; "unknown" where that failed."""
    if importlib.util.find_spec("onnxruntime") is None:
        return BatchTrial("unknown", "onnxruntime is not installed")
    command = [sys.executable, "-I", str(_PROGRAM), str(graph)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return BatchTrial("unknown", f"the trial took longer than {timeout:g} s")
    try:
        answer = json.loads(done.stdout.rpartition("\n")[2] or done.stdout)
        return BatchTrial(answer["verdict"], answer["reason"])
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or [f"the trial ended with exit code {done.returncode}"])[-1]
        return BatchTrial("unknown", last[:300])
