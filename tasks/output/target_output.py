"""Print plans, results and states of targets."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from tasks.output.plan_output import ADD, CHANGE, REMOVE, UNCHANGED, print_plan, summarize
from tasks.output.terminal import note, print_json, print_table
from tritonops.display_text import clip
from tritonops.errors import DifferenceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tritonops.kubernetes.plan import TargetPlan
    from tritonops.kubernetes.releases import KeptRevision
    from tritonops.kubernetes.rollout.result import TargetResult
    from tritonops.kubernetes.status import PodStatus, TargetStatus

_LONGEST_REASON = 80
_MARKS = {"add": ADD, "change": CHANGE, "remove": REMOVE, "unused": UNCHANGED}


def show_target_plan(plan: TargetPlan, *, format: str, is_downtime: bool) -> None:
    """Print a plan as "text", "json" or "markdown". Raises DifferenceError if a deploy would do anything."""
    marks = [_MARKS[change.change] for change in plan.changes]
    columns = ("", "what", "name", "change")
    rows = [(mark, each.what, each.name, each.change) for mark, each in zip(marks, plan.changes, strict=True)]
    diffs = {f"{each.what}/{each.name}": each.diff for each in plan.changes if each.diff}
    if format == "json":
        print_json(asdict(plan))
    elif rows or format == "markdown":
        releases = f"{plan.target}: {plan.current or 'nothing'} → {plan.release}"
        summary = f"{releases}: {summarize(marks)}"
        print_plan(f"kubernetes.plan: {plan.target}", summary, columns, rows, diffs, format=format)
    if plan.is_different:
        hint = f"inv kubernetes.deploy --target {plan.target}"
        if is_downtime:
            hint += " --allow-downtime, which a target of one replica without a spare needs"
        raise DifferenceError(_difference(plan), hint=hint)
    note("no changes")


def _difference(plan: TargetPlan) -> str:
    if any(change.is_difference for change in plan.changes):
        return "a deploy would change this"
    return f"{plan.target}: {plan.release} is applied, and not all of its pods were seen to serve"


def show_target_result(result: TargetResult, *, json: bool) -> None:
    """Print the result of a deploy or a rollback."""
    if json:
        print_json(asdict(result))
        return
    columns = ("target", "result", "release", "revision", "seconds")
    print_table(columns, [[getattr(result, column) for column in columns]])
    for each in result.removed:
        note(f"removed: {each}")


def show_target_releases(releases: Sequence[KeptRevision]) -> None:
    """Print a row for each release, with the beginning of the reason of a failure; --json has all of it."""
    columns = ("revision", "release", "by", "at", "commit", "result", "current", "reason")
    print_table(columns, [_release_row(each) for each in releases])


def _release_row(found: KeptRevision) -> list[object]:
    result, _, reason = (found.result or "").partition(": ")
    # A commit with changes, as `git describe --dirty` would mark it; the release is in its own column.
    commit = found.commit and found.commit.replace(" with changes", "-dirty")
    reason = (reason.partition("does not serve")[2].lstrip(":; ") or reason).partition(" events of ")[0]
    at = found.restored.partition(" ")[0] if found.restored else found.at
    current = "yes" if found.current else None
    reason = clip(reason, _LONGEST_REASON)
    return [found.revision, found.release, found.by, at, commit, result or None, current, reason or None]


def show_target_status(status: TargetStatus, *, json: bool) -> None:
    """Print the state of a target, and a row for each pod."""
    if json:
        print_json(asdict(status))
        return
    if status.release is None:
        note(f"{status.target}: nothing is deployed in {status.namespace}")
        return
    by = f", by {status.by} at {status.at}" if status.by else ""
    result = status.result or "its deploy did not end, or somebody changed the Deployment since"
    print(f"{status.target}: release {status.release}, revision {status.revision}{by}: {result}")
    print(f"{status.ready} of {status.replicas} pods are ready\n")
    columns = ("pod", "release", "state", "serves", "node")
    print_table(columns, [[each.pod, each.release, each.state, _serves(each), each.node] for each in status.pods])


def _serves(pod: PodStatus) -> str | None:
    return None if pod.expected is None else f"{'?' if pod.served is None else pod.served} of {pod.expected}"
