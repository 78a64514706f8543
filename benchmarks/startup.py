"""What the suite costs before it does anything: `inv --list`, and the bootstrap in front of it.

The alternative is a bare Invoke listing a tasks.py of one task.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from _timing import Contender, medians, print_ratios

PROJECT = Path(__file__).resolve().parent.parent
ONE_TASK = '''from invoke import task


@task
def hello(c):
    """Say hello."""
'''


def main() -> None:
    inv = str(Path(sys.executable).with_name("inv"))
    # As installed: with compiled modules, and none of the caller's switches.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with tempfile.TemporaryDirectory() as bare:
        Path(bare, "tasks.py").write_text(ONE_TASK)
        figures = medians(
            [
                Contender("bare Invoke, one task, --list", [inv, "--search-root", bare, "--list"], env),
                Contender(".venv/bin/inv --list", [inv, "--search-root", str(PROJECT), "--list"], env),
                Contender("./inv --list", [str(PROJECT / "inv"), "--list"], env),
            ],
            rounds=int(os.environ.get("ROUNDS", "20")),
        )
    print_ratios("Listing the tasks", figures, baseline="bare Invoke, one task, --list")


if __name__ == "__main__":
    main()
