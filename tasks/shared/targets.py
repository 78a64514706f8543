"""What the tasks about clusters share: their options, and the work on a target with a line for each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tasks.output.terminal import note
from tasks.output.waiting import waiting
from tasks.shared.checkout import project
from tritonops.errors import InputError

if TYPE_CHECKING:
    from tritonops.kubernetes.targets.target import Target

_T = TypeVar("_T")
TARGET = {"target": "Target of kubernetes.toml (default: the only one)."}


def selected_target(name: str | None) -> Target:
    """Find the target of --target. Raises InputError where it is not given, and there are several."""
    found = project().targets.select(name)
    if len(found) > 1:
        raise InputError(
            "which target?",
            hint=f"--target {found[0].name}; kubernetes.toml has: {', '.join(each.name for each in found)}.",
        )
    return found[0]


def run_on_target(target: Target, work: Callable[[Callable[[str], None]], _T], *, quiet: bool) -> _T:
    """Run the work on a target, with a line for each step."""
    with waiting(f"{target.name} at work", quiet=quiet) as shown:

        def on_step(line: str) -> None:
            shown.set(target.name, line.splitlines()[0])
            if not quiet:
                note(f"{target.name}: {line}")

        return work(on_step)
