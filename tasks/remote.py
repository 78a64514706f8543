"""GPU servers over SSH: deploy, verify, roll back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, TypeVar

from invoke import Context

from tasks.cli import PROJECT, names, settings, task
from tasks.terminal import note, print_json, print_table
from tritonops.errors import DifferenceError

if TYPE_CHECKING:
    from tritonops.remote.deploy import Result
    from tritonops.remote.fleet import Outcome, Work
    from tritonops.remote.inventory import HostSettings

_T = TypeVar("_T")

HOSTS = {
    "host": "An alias of ssh_config or a host name; several times, or as a comma-separated list.",
    "group": "Every host of this group of hosts.toml; several times too.",
}
HOST_LISTS = ["host", "group"]
JSON = {"json": "Print one JSON document and no progress."}


@task(
    help=HOSTS
    | {
        "push": "Send the models from here; for hosts that have no way to the Hub.",
        "dry_run": "Only show what would change, as remote.plan does.",
        "canary": "Finish the first host before the others begin; stop if it fails.",
    }
    | JSON,
    iterable=HOST_LISTS,
)
def deploy(
    c: Context,
    host: list[str],
    group: list[str],
    push: bool = False,
    dry_run: bool = False,
    canary: bool = False,
    json: bool = False,
) -> None:
    """Bring hosts to what this clone says; one that fails serves what it served before."""
    from tritonops.remote import deploy as library
    from tritonops.remote.source import read_source

    if dry_run:
        _plan(host, group, json=json)
        return
    at, source = settings(), read_source(PROJECT)
    _show_results(
        _on_each(
            _selected(host, group),
            lambda on, here, report: library.deploy(on, source, here, at, send_models=push, report=report),
            canary=canary,
            quiet=json,
        ),
        json=json,
    )


@task(help=HOSTS | JSON, iterable=HOST_LISTS)
def plan(c: Context, host: list[str], group: list[str], json: bool = False) -> None:
    """Show what a deploy would change on each host; exit 4 where that is something."""
    _plan(host, group, json=json)


@task(
    help=HOSTS | {"to": "A release of remote.releases; the one before the current otherwise."} | JSON,
    iterable=HOST_LISTS,
)
def rollback(c: Context, host: list[str], group: list[str], to: str | None = None, json: bool = False) -> None:
    """Serve an earlier release again, from the host's own disk."""
    from tritonops.remote import deploy as library

    directory = settings().remote_dir
    _show_results(
        _on_each(
            _selected(host, group),
            lambda on, here, report: library.rollback(on, directory, to=to, report=report),
            quiet=json,
        ),
        json=json,
    )


@task(
    help={
        "release": "The release, a folder beside this one.",
        "by": "Who asked for it, for the records.",
        "kind": "deploy or rollback, for the records.",
    },
    positional=["release"],
)
def activate(c: Context, release: str, by: str = "somebody", kind: str = "deploy") -> None:
    """What remote.deploy and remote.rollback start on the host: switch to a release there, or put back what was."""
    from tritonops.remote.activation import activate as activate_release
    from tritonops.remote.layout import Layout

    outcome = activate_release(Layout(PROJECT.parents[2]), release, by=by, kind=kind, report=_say)
    _say(f"outcome\t{_line(outcome)}")


def _plan(host: list[str], group: list[str], *, json: bool) -> None:
    from tritonops.remote.fleet import raise_failures
    from tritonops.remote.plan import plan as plan_host
    from tritonops.remote.source import read_source

    at, source = settings(), read_source(PROJECT)
    outcomes = _on_each(_selected(host, group), lambda on, here, report: plan_host(on, source, here, at), quiet=json)
    rows = [(outcome.host, *astuple(change)) for outcome in outcomes for change in outcome.result or ()]
    if json:
        print_json([dict(zip(("host", "what", "name", "change"), row, strict=True)) for row in rows])
    elif rows:
        print_table(("host", "what", "name", "change"), rows)
    raise_failures(outcomes, what="no plan")
    if rows:
        raise DifferenceError("a deploy would change this", hint="inv remote.deploy")
    note("nothing to do")


def _say(line: str) -> None:
    print(line, flush=True)


def _line(value: object) -> str:
    import json
    from dataclasses import asdict

    return json.dumps(asdict(value))  # type: ignore[call-overload]


def _selected(host: Sequence[str], group: Sequence[str]) -> list[HostSettings]:
    from tritonops.remote.inventory import load_inventory

    return load_inventory(PROJECT / "hosts.toml").select(names(host), names(group))


def _on_each(
    hosts: list[HostSettings], work: Work[_T], *, canary: bool = False, quiet: bool = False
) -> list[Outcome[_T]]:
    from tritonops.remote.fleet import on_each

    def report(host: str, line: str) -> None:
        if not quiet:
            note(f"{host}: {line}")

    return on_each(hosts, work, ssh_config=settings().ssh_config, report=report, canary=canary)


def _show_results(outcomes: list[Outcome[Result]], *, json: bool) -> None:
    from tritonops.remote.fleet import raise_failures

    rows = [_row(outcome) for outcome in outcomes]
    if json:
        print_json(rows)
    else:
        columns = ("host", "result", "release", "seconds")
        print_table(columns, [[row[column] for column in columns] for row in rows])
    raise_failures(outcomes, what="not done")


def _row(outcome: Outcome[Result]) -> dict[str, object]:
    result = outcome.result
    return {
        "host": outcome.host,
        "result": result.what if result else outcome.failure,
        "release": result.release if result else None,
        "changed": list(result.changed) if result else [],
        "seconds": result.seconds if result else None,
        "error": str(outcome.error) if outcome.error else None,
    }
