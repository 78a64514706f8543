"""Downloads from hostile and broken Hubs, each for itself: how each ends, how long it takes and how much memory.

    ./inv bench hostile                                  all of them; minutes, since many are waited for
    ./inv bench hostile --arg size-negative              one of them

STALL sets the seconds that a connection may stall (30); JOBS how many run at once (8).
"""

from __future__ import annotations

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _timing import PROJECT

sys.path.insert(0, str(PROJECT))

from tests.hub.hostile import CASES
from tests.hub.hostile_run import Run, run


def main() -> None:
    asked = sys.argv[1:] or list(CASES)
    environment = {"TRITON_STALL_SECONDS": os.environ.get("STALL", "30")}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(int(os.environ.get("JOBS", "8"))) as pool:

        def one(name: str) -> Run:
            return _shown(name, run(CASES[name], Path(folder, name), environment=environment))

        runs = list(pool.map(one, asked))
    bad = sum(bool(run.complaints) for run in runs)
    slowest, largest = max(run.seconds for run in runs), max(run.memory for run in runs)
    print(f"{len(runs)} Hubs, {bad} with complaints; at most {slowest:.0f} s and {largest / 1e6:.0f} MB")
    if bad:
        raise SystemExit(1)


def _shown(name: str, run: Run) -> Run:
    failure = next((line.strip() for line in run.stderr.splitlines() if "hostile/1: " in line), "")
    print(f"{name:40} {run.code} {run.seconds:5.1f} s {run.memory / 1e6:4.0f} MB  {failure[:150]}")
    for complaint in run.complaints:
        print(f"    {complaint}", flush=True)
    if run.complaints:
        print(run.stderr[-2000:])
    return run


if __name__ == "__main__":
    main()
