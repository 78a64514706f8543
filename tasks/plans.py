"""Tasks of the collection `triton` that compare models.toml, the disk and the server."""

from __future__ import annotations

import shlex

from invoke import Context

from tasks.output.plan_output import show_plan
from tasks.output.terminal import confirm, note
from tasks.output.triton_output import show_result
from tasks.output.waiting import waiting
from tasks.shared.checkout import project
from tasks.shared.options import JSON, YES, names, output_format
from tasks.shared.server import (
    SERVER,
    connect,
    on_the_host,
    timeout_of,
)
from tasks.shared.task import task

PLAN = {
    "include": "Only this model. Repeatable, or comma-separated.",
    "cpu": "Use CPU configs (default: keep a config that matches a variant, else use the GPU one).",
    "prune": "Unload and disable models that models.toml does not declare.",
}


@task(
    help=PLAN | SERVER | {"format": "text, markdown (for a pull request) or json (default: text)."} | JSON,
    iterable=["include"],
    words="include",
    read_only=True,
)
@on_the_host("triton.plan")
def plan(
    c: Context,
    include: list[str],
    cpu: bool = False,
    prune: bool = False,
    url: str | None = None,
    host: str | None = None,
    target: str | None = None,
    format: str | None = None,
    json: bool = False,
) -> None:
    """Preview changes to disk and server (exit 4 if any)."""
    from tritonops.triton.plan.make_plan import make_plan
    from tritonops.triton.plan.plan import raise_if_different

    output = output_format(format, ("text", "json", "markdown"), json=json)
    with connect(url, host, target) as client:
        made = make_plan(project(), client, include=names(include), variant="cpu" if cpu else None, prune=prune)
    show_plan(made, format=output)
    raise_if_different(made, command=shlex.join(["inv", "triton.apply", *names(include), *_flags(cpu, prune)]))


def _flags(cpu: bool, prune: bool) -> list[str]:
    return [*(["--cpu"] if cpu else []), *(["--prune"] if prune else [])]


@task(
    help=PLAN | {"timeout": "Timeout of one load, in seconds (default: 600)."} | YES | SERVER | JSON,
    iterable=["include"],
    words="include",
)
@on_the_host("triton.apply")
def apply(
    c: Context,
    include: list[str],
    cpu: bool = False,
    prune: bool = False,
    yes: bool = False,
    timeout: str | None = None,
    url: str | None = None,
    host: str | None = None,
    target: str | None = None,
    json: bool = False,
) -> None:
    """Bring disk and server in line with models.toml."""
    from tasks.output.progress import download_progress
    from tritonops.triton.apply import DOWNLOAD, apply, raise_unless_applied
    from tritonops.triton.load import LOAD_TIMEOUT
    from tritonops.triton.plan.make_plan import make_plan

    within = timeout_of(timeout, LOAD_TIMEOUT)
    with connect(url, host, target) as client:
        made = make_plan(project(), client, include=names(include), variant="cpu" if cpu else None, prune=prune)
        if made.pruned:
            confirm(f"Unload and disable {', '.join(made.pruned)}?", yes=yes)
        with download_progress(quiet=json) as progress, waiting("Triton", quiet=json, at_once=False) as shown:

            def on_step(message: str) -> None:
                if not message.startswith(DOWNLOAD):  # which has its own progress
                    progress.stop()
                    shown.begin()
                    shown.replace({"now": message})
                if not json:  # then stderr is for warnings
                    note(message)

            result = apply(project(), client, made, timeout=within, on_step=on_step, progress=progress)
    show_result(result, json=json)
    raise_unless_applied(result)
