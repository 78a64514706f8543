"""GPU servers over SSH: deploy, verify, roll back."""

from __future__ import annotations

import functools
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from invoke import Context

from tasks.shared.checkout import PROJECT, project
from tasks.shared.hosts import (
    HOST_LISTS,
    HOSTS,
    host_names,
    run_on_hosts,
    show_rows,
    show_rows_of_each,
    stream_from_each,
)
from tasks.shared.options import file_path, integer
from tasks.shared.remote_output import short_digest, show_changes, show_deploy_results
from tasks.shared.task import task
from tasks.shared.terminal import confirm, note, size
from tritonops.errors import TritonOpsError

if TYPE_CHECKING:
    from tritonops.remote.client.activation_log import DeployResult
    from tritonops.remote.client.checkout import GitCheckout
    from tritonops.remote.layout.callbacks import OnStep
    from tritonops.remote.ssh.host import Host

JSON = {"json": "Print one JSON document, without progress."}
YES = {"yes": "Do not ask for confirmation."}


@task(
    help=HOSTS
    | {
        "push": "Send the models from this machine, for hosts without access to the Hub.",
        "prune": "Move models that are not in models.toml out of service, to shared/triton-disabled.",
        "dry_run": "Only preview the changes, as remote.plan does.",
        "canary": "Deploy to the first host, and to the others only if that succeeds.",
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
    """Deploy this checkout; a failed host is rolled back."""
    if dry_run:
        _plan(host, group, prune=prune, json=json)
        return

    def work(host: Host, on_step: OnStep) -> DeployResult:
        from tritonops.remote.deploy import deploy_checkout

        options = {"send_models": push, "prune_models": prune}
        return deploy_checkout(host, project(), _checkout(), **options, on_step=on_step)

    hosts = host_names(host, group)
    show_deploy_results(run_on_hosts(hosts, work, canary=canary, prepare=_read_checkout, quiet=json), json=json)


@task(
    help=HOSTS | {"prune": "Preview remote.deploy --prune."} | JSON,
    iterable=HOST_LISTS,
)
def plan(c: Context, host: list[str], group: list[str], prune: bool = False, json: bool = False) -> None:
    """Preview a deploy (exit 4 if there are changes)."""
    _plan(host, group, prune=prune, json=json)


@task(
    help=HOSTS | {"to": "Id of a release in remote.releases (default: the one before the current)."} | JSON,
    iterable=HOST_LISTS,
)
def rollback(c: Context, host: list[str], group: list[str], to: str | None = None, json: bool = False) -> None:
    """Roll back to an earlier release."""
    from tritonops.remote.rollback import roll_back_host

    def work(host: Host, on_step: OnStep) -> DeployResult:
        return roll_back_host(host, to=to, on_step=on_step)

    show_deploy_results(run_on_hosts(host_names(host, group), work, quiet=json), json=json)


@task(help=HOSTS | JSON, iterable=HOST_LISTS)
def releases(c: Context, host: list[str], group: list[str], json: bool = False) -> None:
    """List the releases of each host."""
    from tritonops.remote import releases as use_case

    def rows(host: Host) -> list[dict[str, Any]]:
        return [
            {
                **asdict(release.record),
                "digest": release.record.digest if json else short_digest(release.record.digest),
                "result": release.activation and release.activation.result,
                "current": release.is_current,
            }
            for release in use_case.releases(host)
        ]

    columns = ("host", "id", "digest", "by", "at", "subject", "result", "current")
    show_rows_of_each(host_names(host, group), rows, columns, json=json)


@task(help=HOSTS | JSON, iterable=HOST_LISTS)
def status(c: Context, host: list[str], group: list[str], json: bool = False) -> None:
    """Show release, health and lock owner of each host."""
    from tritonops.remote import status as use_case

    def rows(host: Host) -> list[dict[str, Any]]:
        found = asdict(use_case.status(host))
        return [found if json else {**found, "free": size(found["free"]), "digest": short_digest(found["digest"])}]

    columns = ("host", "release", "digest", "at", "runtime", "triton", "served", "expected", "lock", "free")
    show_rows_of_each(host_names(host, group), rows, columns, json=json)


@task(
    help=HOSTS
    | {
        "lines": "Number of lines from the end (default: 100).",
        "follow": "Follow the output (Ctrl-C to stop).",
        "deploy": "Show the log of the newest deploy or rollback, not of the server.",
    },
    iterable=HOST_LISTS,
)
def logs(
    c: Context, host: list[str], group: list[str], lines: str | None = None, follow: bool = False, deploy: bool = False
) -> None:
    """Show the server's log of each host."""
    from tritonops.remote.logs import show_activation_log, show_logs

    count = integer("--lines", lines, at_least=1) or 100

    stream = show_activation_log if deploy else functools.partial(show_logs, lines=count, follow=follow)
    stream_from_each(host_names(host, group), stream)


@task(help=HOSTS | YES, iterable=HOST_LISTS)
def restart(c: Context, host: list[str], group: list[str], yes: bool = False) -> None:
    """Restart the server of each host.

    In-flight requests are answered; new ones fail until the server runs again.
    """
    from tritonops.remote.restart import restart_server

    hosts = host_names(host, group)
    if confirm(f"Restart Triton on {', '.join(hosts)}?", yes=yes):
        stream_from_each(hosts, restart_server)


@task(help=HOSTS, iterable=HOST_LISTS)
def run(c: Context, host: list[str], group: list[str]) -> None:
    """Run a task on each host.

    It has the host's own settings: inv remote.run --host gpu-01 -- triton.list
    """
    from tritonops.remote.run import run_task

    words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    stream_from_each(host_names(host, group), functools.partial(run_task, words=words))


@task(help=HOSTS | JSON, iterable=HOST_LISTS)
def doctor(c: Context, host: list[str], group: list[str], json: bool = False) -> None:
    """Check whether each host can serve."""
    from tritonops.remote.client.fleet import raise_failures
    from tritonops.remote.doctor import examine

    results = run_on_hosts(host_names(host, group), lambda host, on_step: examine(host, project()), quiet=json)
    rows = [{"host": result.host, **asdict(row)} for result in results for row in result.value or ()]
    show_rows(rows, ("host", "check", "state", "problem", "remedy"), json=json)
    raise_failures(results, what="not examined")
    if problems := sum(row["state"] == "problem" for row in rows):
        raise TritonOpsError(f"{problems} of {len(rows)} checks found a problem")


@task(
    help=HOSTS
    | {"hold": "Lock against deploys, for this reason.", "release": "Unlock; a running deploy is rolled back."}
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
    """Show, take or release the deploy lock."""
    from tritonops.remote.client.host_state import inspect_host
    from tritonops.remote.lock import lock_host, unlock_host

    hosts = host_names(host, group)
    if release and not confirm(f"Unlock {', '.join(hosts)}? A running deploy is rolled back.", yes=yes):
        return

    def rows(host: Host) -> list[dict[str, Any]]:
        if hold:
            lock_host(host, why=hold)
        if release:
            unlock_host(host)
        owner = inspect_host(host).lock_owner
        return [{"locked by": owner and owner.who, "since": owner and owner.since, "for": owner and owner.what}]

    show_rows_of_each(hosts, rows, ("host", "locked by", "since", "for"), json=json)


@task(help=HOSTS | JSON, iterable=HOST_LISTS)
def audit(c: Context, host: list[str], group: list[str], json: bool = False) -> None:
    """List what was done on each host, and by whom."""
    from tritonops.remote import audit as use_case

    def rows(host: Host) -> list[dict[str, Any]]:
        return [dict(entry) for entry in use_case.audit(host)]

    columns = ("host", "at", "by", "what", "release", "result", "message")
    show_rows_of_each(host_names(host, group), rows, columns, json=json)


@task(
    help=HOSTS
    | {
        "from_": "File of KEY=VALUE lines; an empty value removes the key (default: stdin).",
        "names": "Only list the keys that are set.",
    },
    iterable=HOST_LISTS,
)
def env(c: Context, host: list[str], group: list[str], from_: str | None = None, names: bool = False) -> None:
    """Set secrets and settings of each host.

    They are in its env file, and are never shown. They take effect at the next deploy.
    """
    from tritonops.remote import env as use_case

    values = {} if names else use_case.parse_values(_read(from_), where=from_ or "stdin")

    def rows(host: Host) -> list[dict[str, Any]]:
        if values:
            use_case.set_values(host, values)
        return [{"set": " ".join(use_case.names_set(host))}]

    show_rows_of_each(host_names(host, group), rows, ("host", "set"), json=False)
    if values:
        note("This takes effect at the next deploy.")


def _plan(host: list[str], group: list[str], *, prune: bool, json: bool) -> None:
    from tritonops.remote import plan as use_case

    hosts, checkout = host_names(host, group), _checkout()

    def work(host: Host, on_step: OnStep) -> list[use_case.HostChange]:
        return use_case.plan(host, project(), checkout, prune_models=prune)

    show_changes(run_on_hosts(hosts, work, quiet=json), json=json)


def _read_checkout() -> None:
    """Read the checkout, and import what a deploy needs, during the logins."""
    import tritonops.remote.deploy  # noqa: F401 (imports that race in threads fail now and then)

    _checkout.cache_clear()
    _checkout()


@functools.cache
def _checkout() -> GitCheckout:
    from tritonops.remote.client.checkout import read_checkout

    return read_checkout(PROJECT, store_dir=project().settings.store_dir)


def _read(path: str | None) -> bytes:
    from tritonops.dotenv import read_bytes

    if source := file_path("--from", path):
        return read_bytes(source)
    if sys.stdin.isatty():
        note("KEY=VALUE lines, then Ctrl-D:")
    return sys.stdin.buffer.read()
