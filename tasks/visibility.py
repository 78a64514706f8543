"""Tasks of the collection `models` that show models to Triton, or hide them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from shlex import join

from invoke import Context

from tasks.output.terminal import confirm, note, print_json
from tasks.shared.checkout import project
from tasks.shared.each_model import for_each_model
from tasks.shared.options import JSON, names
from tasks.shared.task import task


@task(
    help={"model": "Name of a model. Repeatable, or comma-separated."} | JSON,
    iterable=["model"],
    words="model",
    needs_words=True,
)
def enable(c: Context, model: list[str], json: bool = False) -> None:
    """Move models back to triton/.

    A running server serves them again with `inv triton.load`.
    """
    from tritonops.models.enable import enable_model

    selected = names(model)
    for_each_model(
        selected,
        lambda name: _Moved(name, enable_model(project(), name)),
        show=functools.partial(_show_moved, json=json),
    )
    note(f"`inv triton.load {join(selected)}` loads into a running server.")


@task(
    help={
        "model": "Name of a model. Repeatable, or comma-separated.",
        "yes": "Do not ask for confirmation, even if an ensemble or another model needs it.",
    }
    | JSON,
    iterable=["model"],
    words="model",
    needs_words=True,
)
def disable(c: Context, model: list[str], yes: bool = False, json: bool = False) -> None:
    """Hide models from Triton, in triton-disabled/.

    No file is deleted. A running server serves them until `inv triton.unload`; `inv models.enable` moves them back.
    On a host: `inv remote.run --host HOST -- models.disable MODEL`, then `inv triton.unload MODEL --host HOST`.
    """
    from tritonops.models.dependents import needed_by
    from tritonops.models.disable import disable_model

    selected = names(model)
    needed = " ".join(filter(None, (needed_by(project(), name) for name in selected)))
    if needed:
        confirm(f"{needed} Continue?", yes=yes)
    for_each_model(
        selected,
        lambda name: _Moved(name, disable_model(project(), name)),
        show=functools.partial(_show_moved, json=json),
    )
    note(f"A running server serves what it has until `inv triton.unload {join(selected)}`.")


@dataclass(frozen=True)
class _Moved:
    model: str
    path: Path


def _show_moved(moved: list[_Moved], *, json: bool) -> None:
    if json:
        print_json(moved)
    else:
        for each in moved:
            print(each.path)
