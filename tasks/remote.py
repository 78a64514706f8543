"""GPU servers over SSH: deploy, verify, roll back."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from invoke import Context

from tasks.shared.checkout import PROJECT, project
from tasks.shared.hosts import HOST_LISTS, HOSTS, run_on_hosts, selected, show_rows
from tasks.shared.options import file_path, integer
from tasks.shared.task import task
from tasks.shared.terminal import confirm, note, print_json, size
from tritonops.errors import DifferenceError, HostLockedError, TritonOpsError

if TYPE_CHECKING:
    from tritonops.remote.client.activation_log import DeployResult
    from tritonops.remote.client.checkout import GitCheckout
    from tritonops.remote.client.fleet import HostResult
    from tritonops.remote.client.inventory import HostSettings
    from tritonops.remote.ssh.host import Host

JSON = {"json": "Print one JSON document and no progress."}
YES = {"yes": "Do not ask."}
TO = {"to": "A release of remote.releases; the one before the current otherwise."}


@task(
    help=HOSTS
    | {
        "push": "Send the models from here; for hosts that have no way to the Hub.",
        "prune": "Models that are not in models.toml go out of service, to shared/triton-disabled.",
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
    prune: bool = False,
    dry_run: bool = False,
    canary: bool = False,
    json: bool = False,
) -> None:
    """Bring hosts to what this clone says; one that fails serves what it served before."""
    if dry_run:
        _plan(host, group, prune=prune, json=json)
        return
    settings = project().settings

    def work(on: Host, here: HostSettings, on_step: Callable[[str], None]) -> DeployResult:
        from tritonops.remote.deploy import deploy_checkout

        return deploy_checkout(on, _source(), here, settings, send_models=push, prune_models=prune, on_step=on_step)

    outcomes = run_on_hosts(selected(host, group), work, canary=canary, before=_read_source, quiet=json)
    _show_results(outcomes, json=json)


@task(
    help=HOSTS | {"prune": "As for remote.deploy: models that are not in models.toml would go."} | JSON,
    iterable=HOST_LISTS,
)
def plan(c: Context, host: list[str], group: list[str], prune: bool = False, json: bool = False) -> None:
    """Show what a deploy would change on each host; exit 4 where that is something."""
    _plan(host, group, prune=prune, json=json)


@task(help=HOSTS | TO | JSON, iterable=HOST_LISTS)
def rollback(c: Context, host: list[str], group: list[str], to: str | None = None, json: bool = False) -> None:
    """Serve an earlier release again, from the host's own disk."""
    from tritonops.remote.rollback import roll_back_host

    directory = project().settings.remote_dir
    outcomes = run_on_hosts(
        selected(host, group),
        lambda on, here, on_step: roll_back_host(on, directory, to=to, on_step=on_step),
        quiet=json,
    )
    _show_results(outcomes, json=json)


@task(help=HOSTS | JSON, iterable=HOST_LISTS)
def releases(c: Context, host: list[str], group: list[str], json: bool = False) -> None:
    """List the releases of each host: who, when, what came of it, and which one serves."""
    from tritonops.remote.releases import releases as kept

    def rows(on: Host) -> list[dict[str, Any]]:
        return [
            {
                **asdict(release.record),
                "digest": release.record.digest if json else _short(release.record.digest),
                "result": release.activation and release.activation.result,
                "current": release.current,
            }
            for release in kept(on, project().settings.remote_dir)
        ]

    columns = ("host", "id", "digest", "by", "at", "subject", "result", "current")
    _show_from_each(host, group, rows, columns, json=json)


@task(help=HOSTS | JSON, iterable=HOST_LISTS)
def status(c: Context, host: list[str], group: list[str], json: bool = False) -> None:
    """Show what serves on each host, whether it does, and who is at work."""
    from tritonops.remote.status import status as look

    def rows(on: Host) -> list[dict[str, Any]]:
        found = asdict(look(on, project().settings.remote_dir))
        return [found if json else {**found, "free": size(found["free"]), "digest": _short(found["digest"])}]

    columns = ("host", "release", "digest", "at", "runtime", "triton", "served", "expected", "lock", "free")
    _show_from_each(host, group, rows, columns, json=json)


@task(
    help=HOSTS
    | {
        "lines": "How many of the last lines; 100 otherwise.",
        "follow": "Go on until Ctrl-C.",
        "deploy": "What the newest deploy or rollback wrote, not the server.",
    },
    iterable=HOST_LISTS,
)
def logs(
    c: Context, host: list[str], group: list[str], lines: str | None = None, follow: bool = False, deploy: bool = False
) -> None:
    """Print the end of the server's log on each host."""
    from tritonops.remote.logs import show_activation_log, show_logs

    count, directory = integer("--lines", lines, at_least=1) or 100, project().settings.remote_dir

    def show(on: Host, out: Callable[[str], None], err: Callable[[str], None]) -> None:
        if deploy:
            show_activation_log(on, directory, show=out)
        else:
            show_logs(on, directory, lines=count, follow=follow, show=out, on_error_line=err)

    _stream_from_each(host, group, show)


@task(help=HOSTS | YES, iterable=HOST_LISTS)
def restart(c: Context, host: list[str], group: list[str], yes: bool = False) -> None:
    """Restart the server of each host; requests under way are answered, new ones fail until it is up again."""
    from tritonops.remote.restart import restart_server

    directory = project().settings.remote_dir
    if confirm(f"Restart Triton on {_named(host, group)}?", yes=yes):
        _stream_from_each(host, group, lambda on, out, err: restart_server(on, directory, show=out, on_error_line=err))


@task(help=HOSTS, iterable=HOST_LISTS)
def run(c: Context, host: list[str], group: list[str]) -> None:
    """Run a task on each host, with the host's own settings: inv remote.run --host gpu-01 -- triton.list."""
    from tritonops.remote.run import run_task

    words, directory = _after_dashes(), project().settings.remote_dir
    _stream_from_each(host, group, lambda on, out, err: run_task(on, directory, words, show=out, on_error_line=err))


@task(help=HOSTS | JSON, iterable=HOST_LISTS)
def doctor(c: Context, host: list[str], group: list[str], json: bool = False) -> None:
    """Look at all that each host needs to serve, and say what to do about what is missing."""
    from tritonops.remote.client.fleet import raise_failures
    from tritonops.remote.doctor import examine

    outcomes = run_on_hosts(
        selected(host, group), lambda on, here, on_step: examine(on, project().settings.remote_dir, here), quiet=json
    )
    rows = [{"host": outcome.host, **asdict(row)} for outcome in outcomes for row in outcome.result or ()]
    show_rows(rows, ("host", "check", "state", "problem", "remedy"), json=json)
    raise_failures(outcomes, what="not examined")
    if problems := sum(row["state"] == "problem" for row in rows):
        raise TritonOpsError(f"{problems} of {len(rows)} checks found a problem")


@task(
    help=HOSTS
    | {"hold": "Lock it against deploys, for this reason."}
    | {"release": "Unlock it; a deploy at work is rolled back."}
    | YES
    | JSON,
    iterable=HOST_LISTS,
)
def lock(
    c: Context,
    host: list[str],
    group: list[str],
    hold: str | None = None,
    release: bool = False,
    yes: bool = False,
    json: bool = False,
) -> None:
    """Show, take or release the deploy lock of each host."""
    from tritonops.remote.client.host_state import inspect_host
    from tritonops.remote.lock import lock_host, unlock_host

    directory = project().settings.remote_dir
    if release and not confirm(f"Unlock {_named(host, group)}? A deploy at work is rolled back.", yes=yes):
        return

    def rows(on: Host) -> list[dict[str, Any]]:
        if hold:
            lock_host(on, directory, why=hold)
        if release:
            unlock_host(on, directory)
        holder = inspect_host(on, directory).lock_owner
        return [{"locked by": holder and holder.who, "since": holder and holder.since, "for": holder and holder.what}]

    _show_from_each(host, group, rows, ("host", "locked by", "since", "for"), json=json)


@task(help=HOSTS | JSON, iterable=HOST_LISTS)
def audit(c: Context, host: list[str], group: list[str], json: bool = False) -> None:
    """List what was done on each host: who, when, and what came of it."""
    from tritonops.remote.audit import audit as lines

    def rows(on: Host) -> list[dict[str, Any]]:
        return [dict(line) for line in lines(on, project().settings.remote_dir)]

    _show_from_each(host, group, rows, ("host", "at", "by", "what", "release", "result", "message"), json=json)


@task(
    help=HOSTS
    | {"from_": "A file of KEY=VALUE lines; stdin otherwise. An empty value takes the key out."}
    | {"names": "Only list the names that are set."},
    iterable=HOST_LISTS,
)
def env(c: Context, host: list[str], group: list[str], from_: str | None = None, names: bool = False) -> None:
    """Set what is secret or differs by host in its env file; values are read from stdin, and never shown."""
    from tritonops.remote import env

    directory = project().settings.remote_dir
    values = {} if names else env.parse_values(_read(from_), where=from_ or "stdin")

    def rows(on: Host) -> list[dict[str, Any]]:
        if values:
            env.set_values(on, directory, values)
        return [{"set": " ".join(env.names_set(on, directory))}]

    _show_from_each(host, group, rows, ("host", "set"), json=False)
    if values:
        note("It counts from the next deploy on.")


@task(
    help={
        "release": "The release, a folder beside this one.",
        "by": "Who asked for it, for the records.",
        "kind": "deploy or rollback, for the records.",
        "prune_models": "Models that are not in models.toml go out of service.",
    },
    positional=["release"],
)
def activate(c: Context, release: str, by: str = "somebody", kind: str = "deploy", prune_models: bool = False) -> None:
    """What remote.deploy and remote.rollback start on the host: switch to a release there, or roll back."""
    from tritonops.remote.host.activation import activate as activate_release
    from tritonops.remote.layout.paths import Layout
    from tritonops.remote.layout.records import ActivationRecord

    try:
        outcome = activate_release(
            Layout(PROJECT.parents[2]), release, by=by, kind=kind, prune_models=prune_models, on_step=_say
        )
    except HostLockedError as exc:
        outcome = ActivationRecord("locked", "", message=str(exc))
    _say(f"outcome\t{outcome.as_json()}")


@task()
def prove(c: Context) -> None:
    """What remote.deploy starts on a host that allows no port forwarding: ask Triton there, and print the answers."""
    from tritonops.remote.layout.paths import Layout
    from tritonops.remote.layout.records import recorded_loads
    from tritonops.remote.layout.triton_state import ask
    from tritonops.triton.client.client import connect

    current, at = Layout(PROJECT.parents[2]).current, project().settings
    with connect(at.triton_url, token=at.triton_token) as client:
        answers = ask(client, recorded_loads(current.activation if current else None), at.config_dir)
    print_json(asdict(answers))


def _plan(host: list[str], group: list[str], *, prune: bool, json: bool) -> None:
    from tritonops.remote.client.fleet import raise_failures
    from tritonops.remote.plan import plan as plan_host

    hosts, source, directory = selected(host, group), _source(), project().settings.remote_dir
    outcomes = run_on_hosts(
        hosts,
        lambda on, here, on_step: plan_host(on, source, here, directory=directory, prune_models=prune),
        quiet=json,
    )
    changes = [(outcome.host, change) for outcome in outcomes for change in outcome.result or ()]
    rows = [{"host": host, **asdict(change)} for host, change in changes]
    show_rows(rows, ("host", "what", "name", "change"), json=json)
    raise_failures(outcomes, what="no plan")
    if any(change.is_difference for _, change in changes):
        raise DifferenceError("a deploy would change this", hint="inv remote.deploy")
    note("nothing to do")


def _short(digest: str | None) -> str | None:
    return digest and digest[:12]


def _read_source() -> None:
    """Read the checkout, and import what a deploy needs, while the hosts are logged in to."""
    import tritonops.remote.deploy  # noqa: F401 (imports that race in threads fail now and then)

    _source.cache_clear()
    _source()


@functools.cache
def _source() -> GitCheckout:
    from tritonops.remote.client.checkout import read_checkout

    return read_checkout(PROJECT, store_dir=project().settings.store_dir)


def _show_results(outcomes: list[HostResult[DeployResult]], *, json: bool) -> None:
    from tritonops.remote.client.fleet import raise_failures

    rows = [
        {
            "host": outcome.host,
            "result": outcome.result.what if outcome.result else outcome.failure,
            "release": outcome.result and outcome.result.release,
            "digest": (outcome.result and outcome.result.digest) or None,
            "proof": (outcome.result and outcome.result.proof) or None,
            "changed": list(outcome.result.changed) if outcome.result else [],
            "seconds": outcome.result and outcome.result.seconds,
            "not_in_models_toml": list(outcome.result.by_hand) if outcome.result else [],
            "pruned": list(outcome.result.pruned) if outcome.result else [],
            "restarted": list(outcome.result.restarted) if outcome.result else [],
            "gap": outcome.result and outcome.result.gap,
            "error": str(outcome.error) if outcome.error else None,
        }
        for outcome in outcomes
    ]
    show_rows(rows, ("host", "result", "release", "seconds"), json=json)
    raise_failures(outcomes, what="not done")


def _show_from_each(
    host: list[str],
    group: list[str],
    ask: Callable[[Host], list[dict[str, Any]]],
    columns: Sequence[str],
    *,
    json: bool,
) -> None:
    from tritonops.remote.client.fleet import raise_failures

    outcomes = run_on_hosts(selected(host, group), lambda on, here, on_step: ask(on), quiet=json)
    rows = [{"host": outcome.host, **row} for outcome in outcomes for row in outcome.result or ()]
    show_rows(rows, columns, json=json)
    raise_failures(outcomes, what="no answer")


def _stream_from_each(
    host: list[str], group: list[str], show: Callable[[Host, Callable[[str], None], Callable[[str], None]], None]
) -> None:
    """Pass on what comes, stdout and stderr apart; with the host's name where there are several."""
    from tritonops.remote.client.fleet import raise_failures

    hosts = selected(host, group)

    def one(on: Host) -> None:
        before = f"{on.name}: " if len(hosts) > 1 else ""
        show(on, lambda line: _say(f"{before}{line}"), lambda line: note(f"{before}{line}"))

    raise_failures(run_on_hosts(hosts, lambda on, here, on_step: one(on)), what="failed")


def _named(host: list[str], group: list[str]) -> str:
    return ", ".join(settings.name for settings in selected(host, group))


def _after_dashes() -> list[str]:
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def _read(path: str | None) -> bytes:
    from tritonops.dotenv import read_bytes

    if source := file_path("--from", path):
        return read_bytes(source)
    if sys.stdin.isatty():
        note("KEY=VALUE lines, then Ctrl-D:")
    return sys.stdin.buffer.read()


def _say(line: str) -> None:
    print(line, flush=True)
