"""`--dry`: a task that has a plan shows it, one that changes nothing runs, any other is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tritonops.errors import InputError

if TYPE_CHECKING:
    from invoke.parser import ParserContext

PLANS: dict[str, tuple[str, dict[str, object]]] = {
    "triton.apply": ("triton.plan", {}),
    "remote.deploy": ("remote.deploy", {"dry_run": True}),
    "kubernetes.deploy": ("kubernetes.plan", {}),
    "models.lock": ("models.lock", {"check": True}),
}
"""The task that shows what a task would do, with these options."""


def preview(context: ParserContext, task: Any) -> tuple[str, dict[str, Any]]:
    """Give the task to run, and its options, in place of one that was called with --dry. Raises InputError."""
    name = context.name or ""
    options = dict(context.as_kwargs)
    if name in PLANS:
        other, changed = PLANS[name]
        if other == name:
            return name, {**options, **changed}
        return other, {key: value for key, value in options.items() if key not in ("yes", "timeout", "allow_downtime")}
    if getattr(task, "read_only", False):
        return name, options
    raise InputError(
        f"{name} has no dry run",
        hint=f"--dry works with {', '.join(PLANS)}, and with tasks that change nothing.",
    )
