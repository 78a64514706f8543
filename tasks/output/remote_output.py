"""Print the results of deploys, rollbacks and plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tasks.output.plan_output import ADD, CHANGE, REMOVE, UNCHANGED, markdown_plan, summarize
from tasks.output.terminal import note, print_json, print_table
from tasks.shared.hosts import show_rows
from tritonops.errors import DifferenceError

if TYPE_CHECKING:
    from tritonops.remote.client.activation_log import DeployResult
    from tritonops.remote.client.fleet import HostResult
    from tritonops.remote.plan import HostChange


def show_deploy_results(results: Sequence[HostResult[DeployResult]], *, json: bool) -> None:
    """Print a row for each host, and raise the failures."""
    from tritonops.remote.client.fleet import raise_failures

    rows = [_row(result) for result in results]
    show_rows(rows, ("host", "result", "release", "seconds"), json=json)
    raise_failures(results, what="not done")


def _row(result: HostResult[DeployResult]) -> dict[str, Any]:
    done = result.value
    return {
        "host": result.host,
        "result": done.what if done else result.failure,
        "release": done and done.release,
        "digest": (done and done.digest) or None,
        "proof": (done and done.proof) or None,
        "changed": list(done.changed) if done else [],
        "seconds": done and done.seconds,
        "not_in_models_toml": list(done.by_hand) if done else [],
        "disabled": list(done.disabled) if done else [],
        "pruned": list(done.pruned) if done else [],
        "restarted": list(done.restarted) if done else [],
        "gap": done and done.gap,
        "error": str(result.error) if result.error else None,
    }


def show_changes(results: Sequence[HostResult[list[HostChange]]], *, format: str) -> None:
    """Print the changes of a plan as "text", "json" or "markdown". Raises DifferenceError if there are any."""
    from tritonops.remote.client.fleet import raise_failures

    changes = [(result.host, change) for result in results for change in result.value or ()]
    if not all(result.error for result in results):
        if format == "json":
            print_json([{"host": name, **asdict(change)} for name, change in changes])
        else:
            _show_changes(changes, format=format)
    raise_failures(results, what="no plan")
    if any(change.is_difference for _, change in changes):
        raise DifferenceError("a deploy would change this", hint="inv remote.deploy")
    note("nothing to do")


def _show_changes(changes: Sequence[tuple[str, HostChange]], *, format: str) -> None:
    marks = [_mark(change) for _, change in changes]
    columns = ("", "host", "what", "name", "change")
    rows = [
        (sign, name, change.what, change.name, change.change)
        for sign, (name, change) in zip(marks, changes, strict=True)
    ]
    if format == "markdown":
        print("\n".join(markdown_plan("remote.plan", summarize(marks), columns, rows, {})))
    elif rows:
        print_table(columns, rows)
        print(f"\n{summarize(marks)}")


def _mark(change: HostChange) -> str:
    if not change.is_difference:
        return UNCHANGED
    return {"add": ADD, "remove": REMOVE}.get(change.change, CHANGE)


def short_digest(digest: str | None) -> str | None:
    """Abbreviate a digest for a table."""
    return digest and digest[:12]
