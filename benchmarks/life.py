"""Random life: two hosts under people who deploy, edit, kill and cut, while clients ask all the time.

    ./inv bench life --arg STEPS --arg SEED     300 steps and seed 16, where none are given

Prints a line a step, and fails where an answer was wrong, a request failed outside of an announced restart, a server
was restarted twice in a step, or a command reported something else than what is served.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from _timing import PROJECT  # noqa: F401 - puts the project on the import path

from tests.remote.life import HOSTS, Life, summary
from tests.remote.project import Site


def main(count: int = 300, seed: int = 16) -> None:
    with tempfile.TemporaryDirectory() as folder, Site.at(Path(folder), *HOSTS) as site:
        steps = Life(site, seed).run_steps(count, on_step=lambda step: print(step, flush=True))
    print(summary(steps))
    sys.exit(any(step.complaints for step in steps))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
