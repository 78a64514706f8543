"""Tasks of the collection `kubernetes` that look at a target, and that remove it."""

from __future__ import annotations

import sys

from invoke import Context

from tasks.output.target_output import show_target_releases, show_target_status
from tasks.output.terminal import confirm, note, print_json, print_table
from tasks.output.waiting import waiting
from tasks.shared.checkout import project
from tasks.shared.hosts import Printed
from tasks.shared.options import JSON, YES, integer, refuse_followed_json
from tasks.shared.targets import TARGET, selected_target
from tasks.shared.task import task


@task(help=TARGET | JSON, read_only=True)
def status(c: Context, target: str | None = None, json: bool = False) -> None:
    """Show release and pods, and what each pod serves."""
    from tritonops.kubernetes import status as use_case

    found = use_case.status(selected_target(target), token=project().settings.triton_token)
    show_target_status(found, json=json)


@task(help=TARGET | JSON, read_only=True)
def releases(c: Context, target: str | None = None, json: bool = False) -> None:
    """List the releases that the cluster keeps."""
    from tritonops.kubernetes import releases as use_case

    found = use_case.releases(selected_target(target))
    if json:
        print_json(found)
        return
    show_target_releases(found)


@task(
    help=TARGET
    | {
        "lines": "Number of lines from the end of each container (default: 100).",
        "follow": "Follow the output (Ctrl-C to stop).",
        "previous": "Show the containers that ran before their last restart.",
    }
    | JSON,
    read_only=True,
)
def logs(
    c: Context,
    target: str | None = None,
    lines: str | None = None,
    follow: bool = False,
    previous: bool = False,
    json: bool = False,
) -> None:
    """Show the logs of all pods."""
    from tritonops.kubernetes.logs import show_logs

    count, selected = integer("--lines", lines, at_least=1) or 100, selected_target(target)
    refuse_followed_json(follow=follow, json=json)
    if not json:
        show_logs(selected, Printed(sys.stdout).write, lines=count, follow=follow, previous=previous)
        return
    output = list[bytes]()
    show_logs(selected, output.append, lines=count, previous=previous)
    print_json({"lines": b"".join(output).decode(errors="replace").splitlines()})


@task(help=TARGET | YES | JSON)
def remove(c: Context, target: str | None = None, yes: bool = False, json: bool = False) -> None:
    """Remove a target from its cluster.

    Secrets, claims, the namespace and models on nodes stay. A deploy makes the rest again.
    """
    from tritonops.kubernetes import remove as use_case

    selected = selected_target(target)
    removal = use_case.make_removal(selected)
    rows = removal.objects
    if rows and not json:
        print_table(("kind", "name"), [(each.kind, each.name) for each in rows])
    if not rows:
        note(f"{selected.name}: there is nothing to remove")
    else:
        confirm(f"Remove {len(rows)} objects from {selected.namespace} at {selected.context}?", yes=yes)
        with waiting("waiting until its pods have ended", quiet=json):
            use_case.remove(removal)
    if json:
        print_json(rows)
