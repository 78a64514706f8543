"""How plans are shown: what is added, changed and removed, for people, as JSON, and as Markdown for a pull request."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.output.terminal import count, print_diff, print_json, print_table
from tasks.output.triton_output import reason_cell

if TYPE_CHECKING:
    from tritonops.triton.plan.plan import Plan, PlannedModel, PlannedVersion

ADD, CHANGE, REMOVE, BLOCKED, UNCHANGED = "+", "~", "-", "!", " "
_VERBS = {ADD: "to add", CHANGE: "to change", REMOVE: "to remove", BLOCKED: "blocked"}


def show_plan(plan: Plan, *, format: str) -> None:
    """Print a plan as "text", "json" or "markdown"."""
    diffs = {model.name: model.diff for model in plan.models if model.diff}
    if format == "json":
        print_json({"rows": plan.rows, "diffs": diffs})
        return
    marked = [(mark(row, model), row) for model in plan.models for row in model.rows]
    # What models.toml does not have is left alone, and reported.
    shown = [(sign, row) for sign, row in marked if sign != UNCHANGED or not row.declared]
    rows = [(sign, _label(row), *_cells(row)) for sign, row in shown]
    columns = ("", "model", "disk", "server", "action", "reason")
    summary = f"{count(len(plan.models), 'model')}: {summarize([_mark_of_model(model) for model in plan.models])}"
    if format == "text":  # a new config would be many lines that say nothing of a change
        diffs = {model.name: model.diff for model in plan.models if model.diff and model.config_on_disk is not None}
    print_plan("triton.plan", summary, columns, rows, diffs, format=format)


def print_plan(
    title: str,
    summary: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str | None]],
    diffs: dict[str, str],
    *,
    format: str,
) -> None:
    """Print rows, diffs by name and the summary as "text" or "markdown"."""
    if format == "markdown":
        print("\n".join(markdown_plan(title, summary, columns, rows, diffs)))
        return
    if rows:
        print_table(columns, rows)
    for name, diff in diffs.items():
        print(f"\n{name}:")
        print_diff(diff)
    print(f"{chr(10) if rows else ''}{summary}")


def mark(row: PlannedVersion, model: PlannedModel) -> str:
    """Give the sign of a model's row: what is added to serving or disk, changed, removed, blocked or unchanged."""
    actions = set(row.actions)
    if actions <= {"unchanged"}:
        return UNCHANGED
    if model.blocked_by:  # then nothing of it is done
        return BLOCKED
    if actions & {"unload", "remove from serving", "disable"}:
        return REMOVE
    if row.version is None:  # its config
        return CHANGE if any(other.server == "READY" or other.disk == "installed" for other in model.rows) else ADD
    return ADD if "download" in actions or row.server != "READY" else CHANGE


def _mark_of_model(model: PlannedModel) -> str:
    marks = {mark(row, model) for row in model.rows}
    return next(sign for sign in (BLOCKED, REMOVE, ADD, CHANGE, UNCHANGED) if sign in marks or sign == UNCHANGED)


def summarize(marks: Sequence[str]) -> str:
    """Count the changes: "3 to add, 1 to change, 0 to remove"."""
    counts = Counter(marks)
    shown = [sign for sign in _VERBS if sign != BLOCKED or counts[BLOCKED]]
    return ", ".join(f"{counts[sign]:,} {_VERBS[sign]}" for sign in shown)


def markdown_plan(
    title: str,
    summary: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str | None]],
    diffs: dict[str, str],
) -> list[str]:
    """Write a plan as lines of GitHub's Markdown."""
    lines = [f"### {title}", "", summary]
    if rows:
        lines += ["", _markdown_row(columns), _markdown_row(["---"] * len(columns)), *map(_markdown_row, rows)]
    for name, diff in diffs.items():
        fence = "`" * (1 + max(3, *(len(run) for run in _backticks(diff))))
        lines += ["", f"<details><summary>{name}</summary>", "", f"{fence}diff", diff.rstrip("\n"), fence]
        lines += ["", "</details>"]
    return lines


def _backticks(text: str) -> list[str]:
    return re.findall("`+", text) or [""]


def _markdown_row(cells: Sequence[str | None]) -> str:
    return "| " + " | ".join((cell or "").replace("|", "\\|").replace("\n", " ").strip() for cell in cells) + " |"


def _label(row: PlannedVersion) -> str:
    return row.name if row.version is None else f"{row.name}/{row.version}"


def _cells(row: PlannedVersion) -> tuple[str | None, ...]:
    return row.disk, row.server, ", ".join(row.actions), reason_cell(row.reason)
