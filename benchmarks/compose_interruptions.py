"""Interrupt `compose.restart` at ten moments with each of three signals, a request in flight, and see what serves.

    .venv/bin/python -m benchmarks.compose_interruptions

Afterwards, or after the next `compose.up`, exactly one container must be running and serve every model.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.compose.projects import ComposeProject, infer, remove_project, write_slow_model

MODELS = {"first", "slow"}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
MOMENTS = 10


def main() -> int:
    """Print one line for each interruption; exit 1 where one left less than there was."""
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        project = ComposeProject.at(Path(folder), "first")
        write_slow_model(project.models_dir, "slow", infer=1.5)
        try:
            project.up()
            length = _seconds_of_a_restart(project)
            print(f"an undisturbed restart takes {length:.1f} s")
            for number in SIGNALS:
                for moment in range(MOMENTS):
                    line, is_right = _interrupt(project, number, length * (moment + 0.5) / MOMENTS)
                    failures += not is_right
                    print(f"{'ok  ' if is_right else 'FAIL'} {line}", flush=True)
        finally:
            remove_project(project.name)
    print(f"{failures} of {len(SIGNALS) * MOMENTS} failed")
    return 1 if failures else 0


def _seconds_of_a_restart(project: ComposeProject) -> float:
    begun = time.monotonic()
    done = project.inv("compose.restart", "--cpu")
    assert done.returncode == 0, done.stderr
    return time.monotonic() - begun


def _interrupt(project: ComposeProject, number: signal.Signals, after: float) -> tuple[str, bool]:
    answers: list[object] = []
    request = threading.Thread(target=_infer, args=(project, answers))
    request.start()
    with project.start_inv("compose.restart", "--cpu") as restart:
        try:
            restart.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            os.kill(restart.pid, number)
            restart.communicate(timeout=150)
    request.join()
    left = ", ".join(
        f"{one['Name'][1:].removeprefix(project.name)} {one['State']['Status']}" for one in project.containers()
    )
    needs_up = number == signal.SIGKILL
    code = project.inv("compose.up", "--cpu").returncode if needs_up else 0
    containers = project.containers()
    is_right = (
        code == 0
        and len(containers) == 1
        and containers[0]["State"]["Status"] == "running"
        and project.serving() == MODELS
        and answers == [[3, 3, 3]]
    )
    then = ", then compose.up" if needs_up else ""
    return (
        f"{number.name} after {after:4.1f} s: exit {restart.returncode}, left: {left}{then}; request: {answers}",
        is_right,
    )


def _infer(project: ComposeProject, answers: list[object]) -> None:
    try:
        answers.append(infer(project, "slow"))
    except Exception as exc:
        answers.append(str(exc))


if __name__ == "__main__":
    sys.exit(main())
