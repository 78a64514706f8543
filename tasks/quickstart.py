"""From a clone to an answer."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from invoke import Context

from tasks.output.terminal import drawable, note, print_json
from tasks.shared.checkout import PROJECT, project
from tasks.shared.options import JSON
from tasks.shared.task import task

if TYPE_CHECKING:
    from tritonops.server.quickstart import Prediction, QuickstartStep


@task(help={"stop": "Stop the server of an earlier quickstart."} | JSON)
def quickstart(c: Context, stop: bool = False, json: bool = False) -> None:
    """Serve a small model on this machine, and query it."""
    if stop:
        stopped = _stop()
        if json:
            print_json({"stopped": stopped})
        return
    from tritonops.server.installation import fetch_libpython
    from tritonops.server.quickstart import env_file, prepared

    fetch_libpython(note)
    env = _typed(env_file(project().settings))
    with prepared(project().settings, os.environ) as run:
        note(f"Everything of this quickstart is in .quickstart/. Its settings, for your shell:\n  $ . {env}\n")
        for number, step in enumerate(run.steps(), 1):
            _run(number, step)
    if run.prediction:
        _show_prediction(run.prediction, json=json)
    note(_WHAT_NEXT.format(env=env, inv=_typed(PROJECT / "inv"), home=_typed(env_file(project().settings).parent)))


_WHAT_NEXT = """
The server keeps running. Next steps:
  $ . {env}
  $ {inv} server.status        the process, its addresses, its models
  $ {inv} triton.stats         inference statistics
  $ {inv} triton.smoke         run its smoke test
  $ {inv} --list               all tasks
Stop it with `{inv} quickstart --stop`; `rm -r {home}` removes the rest.
Your own models go into models.toml: see README.md."""


def _run(number: int, step: QuickstartStep) -> None:
    note(f"{number}. {step.title}\n  $ {_typed(PROJECT / 'inv')} {shlex.join(step.arguments)}")
    note(f"  {step.run()}\n")


def _show_prediction(answer: Prediction, *, json: bool) -> None:
    if json:
        print_json({"digit": answer.digit, "probability": answer.probability})
        return
    print(drawable(answer.picture))
    print(f"\nThe model says: {answer.digit}, with {answer.probability:.0%} certainty.", flush=True)


def _stop() -> bool:
    from tritonops.server.quickstart import stop

    stopped = stop(project().settings)
    note("The quickstart's server is stopped." if stopped else "The quickstart's server is not running.")
    return stopped


def _typed(path: Path) -> str:
    """Write a path relative to the working directory: `./inv`, `../inv`."""
    relative = os.path.relpath(path)
    return shlex.quote(relative if os.sep in relative else f"./{relative}")
