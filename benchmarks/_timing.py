"""Compare whole commands in one run: interleaved, so that a noisy machine is noisy for all of them alike."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "docs" / "performance.md"
LOAD = os.getloadavg()[0]
"""What else ran: above the number of cores, times say little, and ratios favour the one that needs less processor."""
# As ./inv runs it, once it has seen to .venv.
INV = (sys.executable, "-P", str(PROJECT / "tasks/shared/program.py"), "--write-pyc", "--search-root", str(PROJECT))
sys.path.insert(0, str(PROJECT))  # so that a benchmark may import the library


@dataclass(frozen=True)
class Contender:
    """A command that is timed from start to end; its output is discarded."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] | None = None


def medians(contenders: Sequence[Contender], *, rounds: int) -> dict[str, float]:
    """Run each contender `rounds` times in turn, after one run that is not counted; seconds by name."""
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for counted in [False] + [True] * rounds:
        for contender in contenders:
            started = time.perf_counter()
            subprocess.run(contender.command, env=contender.env, check=True, stdout=subprocess.DEVNULL)
            if counted:
                seconds[contender.name].append(time.perf_counter() - started)
    return {name: statistics.median(runs) for name, runs in seconds.items()}


def print_ratios(title: str, medians: Mapping[str, float], *, baseline: str) -> None:
    """Print each median, and its ratio to the baseline's."""
    print(title)
    for name, seconds in medians.items():
        print(f"  {name:<40} {seconds * 1000:8.1f} ms  {seconds / medians[baseline]:5.2f} ×")


def checkout(commit: str, folder: Path) -> Path:
    """Write the files of a commit into a new folder."""
    archive = subprocess.check_output(["git", "archive", commit], cwd=PROJECT)
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


def machine() -> str:
    """Say where this runs."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    linux = platform.release().partition("-")[0]
    return (
        f"{os.cpu_count()} cores, {model}, Linux {linux}, Python {platform.python_version()}; "
        f"load average before it began: {LOAD:.1f}"
    )


def write_section(name: str, text: str) -> None:
    """Write what a benchmark found between its marks in docs/performance.md."""
    begin, end = (f"<!-- {word}: ./inv bench {name} -->" for word in ("begin", "end"))
    before, _, rest = PAGE.read_text().partition(begin)
    PAGE.write_text(f"{before}{begin}\n\n{text}\n{end}{rest.partition(end)[2]}")
