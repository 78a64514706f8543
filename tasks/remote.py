"""GPU servers over SSH: deploy, verify, roll back."""

from __future__ import annotations

import functools
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from invoke import Context

from tasks.host_tasks import env, logs, restart, run
from tasks.output.remote_output import short_digest, show_changes, show_deploy_results
from tasks.output.terminal import confirm, size
from tasks.shared.checkout import PROJECT, project
from tasks.shared.hosts import (
    HOST_LISTS,
    HOSTS,
    SelectedHosts,
    run_on_hosts,
    selected_hosts,
    show_rows,
    show_rows_of_each,
)
from tasks.shared.options import JSON, YES, output_format
from tasks.shared.release_cache import cache_releases
from tasks.shared.task import task
from tritonops.errors import TritonOpsError

if TYPE_CHECKING:
    from tritonops.remote.client.activation_log import DeployResult
    from tritonops.remote.client.checkout import GitCheckout
    from tritonops.remote.layout.callbacks import OnStep
    from tritonops.remote.ssh.host import Host

__all__ = ["env", "logs", "restart", "run"]  # tasks of this collection, too


@task(
    help=HOSTS
    | {
        "push": "Send the models from this machine, for hosts without access to the Hub.",
        "prune": "Move models that are not in models.toml out of service, to shared/triton-disabled.",
        "dry_run": "The same as --dry, as remote.plan does.",
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
    parallel: str | None = None,
) -> None:
    """Deploy this checkout; a failed host is rolled back.

    Afterwards: remote.status, remote.audit (who deployed what, when), remote.rollback.
    """
    if dry_run:
        _plan(selected_hosts(host, group, parallel), prune=prune, format="json" if json else "text")
        return

    def work(host: Host, on_step: OnStep) -> DeployResult:
        from tritonops.remote.deploy import deploy_checkout

        options = {"send_models": push, "prune_models": prune}
        return deploy_checkout(host, project(), _checkout(), **options, on_step=on_step)

    hosts = selected_hosts(host, group, parallel)
    show_deploy_results(run_on_hosts(hosts, work, canary=canary, prepare=_read_checkout, quiet=json), json=json)


@task(
    help=HOSTS
    | {
        "prune": "Preview remote.deploy --prune.",
        "format": "text, markdown (for a pull request) or json (default: text).",
    }
    | JSON,
    iterable=HOST_LISTS,
    read_only=True,
)
def plan(
    c: Context,
    host: list[str],
    group: list[str],
    prune: bool = False,
    format: str | None = None,
    json: bool = False,
    parallel: str | None = None,
) -> None:
    """Preview a deploy (exit 4 if there are changes).

    Settings that remote.env changed count too: they take effect at the deploy.
    """
    hosts = selected_hosts(host, group, parallel)
    _plan(hosts, prune=prune, format=output_format(format, ("text", "json", "markdown"), json=json))


@task(
    help=HOSTS | {"to": "Id of a release in remote.releases (default: the one before the current)."} | JSON,
    iterable=HOST_LISTS,
)
def rollback(
    c: Context,
    host: list[str],
    group: list[str],
    to: str | None = None,
    json: bool = False,
    parallel: str | None = None,
) -> None:
    """Roll back to an earlier release.

    It does not ask. remote.releases lists what there is.
    """
    from tritonops.remote.rollback import roll_back_host

    def work(host: Host, on_step: OnStep) -> DeployResult:
        return roll_back_host(host, to=to, on_step=on_step)

    show_deploy_results(run_on_hosts(selected_hosts(host, group, parallel), work, quiet=json), json=json)


@task(help=HOSTS | JSON, iterable=HOST_LISTS, read_only=True)
def releases(c: Context, host: list[str], group: list[str], json: bool = False, parallel: str | None = None) -> None:
    """List the releases of each host."""
    from tritonops.remote import releases as use_case

    def rows(host: Host) -> list[dict[str, Any]]:
        found = use_case.releases(host)
        cache_releases(host.name, [release.record.id for release in found])
        return [
            {
                **asdict(release.record),
                "digest": release.record.digest if json else short_digest(release.record.digest),
                "result": release.activation and release.activation.result,
                "current": release.is_current,
            }
            for release in found
        ]

    columns = ("host", "id", "digest", "by", "at", "subject", "result", "current")
    show_rows_of_each(selected_hosts(host, group, parallel), rows, columns, json=json)


@task(help=HOSTS | JSON, iterable=HOST_LISTS, read_only=True)
def status(c: Context, host: list[str], group: list[str], json: bool = False, parallel: str | None = None) -> None:
    """Show release, health and lock owner of each host."""
    from tritonops.remote import status as use_case

    def rows(host: Host) -> list[dict[str, Any]]:
        found = asdict(use_case.status(host))
        return [found if json else {**found, "free": size(found["free"]), "digest": short_digest(found["digest"])}]

    columns = ("host", "release", "digest", "at", "runtime", "triton", "served", "expected", "lock", "free")
    show_rows_of_each(selected_hosts(host, group, parallel), rows, columns, json=json)


@task(help=HOSTS | JSON, iterable=HOST_LISTS, read_only=True)
def doctor(c: Context, host: list[str], group: list[str], json: bool = False, parallel: str | None = None) -> None:
    """Check whether each host can serve.

    Also whether the token closes Triton's control API, and whether a port of Triton is open to the network.
    """
    from tritonops.remote.client.fleet import raise_failures
    from tritonops.remote.doctor import examine

    results = run_on_hosts(
        selected_hosts(host, group, parallel), lambda host, on_step: examine(host, project()), quiet=json
    )
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
    parallel: str | None = None,
) -> None:
    """Show, take or release the deploy lock."""
    from tritonops.remote.client.host_state import inspect_host
    from tritonops.remote.lock import lock_host, unlock_host

    hosts = selected_hosts(host, group, parallel)
    if release:
        confirm(f"Unlock {', '.join(hosts.names)}? A running deploy is rolled back.", yes=yes)

    def rows(host: Host) -> list[dict[str, Any]]:
        if hold:
            lock_host(host, why=hold)
        if release:
            unlock_host(host)
        owner = inspect_host(host).lock_owner
        return [{"locked by": owner and owner.who, "since": owner and owner.since, "for": owner and owner.what}]

    show_rows_of_each(hosts, rows, ("host", "locked by", "since", "for"), json=json)


@task(help=HOSTS | JSON, iterable=HOST_LISTS, read_only=True)
def audit(c: Context, host: list[str], group: list[str], json: bool = False, parallel: str | None = None) -> None:
    """List what was done on each host, and by whom.

    Each entry has the time, the person, the release and its result, oldest first.
    """
    from tritonops.remote import audit as use_case

    def rows(host: Host) -> list[dict[str, Any]]:
        return [dict(entry) for entry in use_case.audit(host)]

    columns = ("host", "at", "by", "what", "release", "result", "message")
    show_rows_of_each(selected_hosts(host, group, parallel), rows, columns, json=json)


def _plan(hosts: SelectedHosts, *, prune: bool, format: str) -> None:
    from tritonops.remote import plan as use_case

    checkout = _checkout()

    def work(host: Host, on_step: OnStep) -> list[use_case.HostChange]:
        return use_case.plan(host, project(), checkout, prune_models=prune)

    show_changes(run_on_hosts(hosts, work, quiet=format == "json"), format=format)


def _read_checkout() -> None:
    """Read the checkout, and import what a deploy needs, during the logins."""
    import tritonops.remote.deploy  # noqa: F401 (imports that race in threads fail now and then)

    _checkout.cache_clear()
    _checkout()


@functools.cache
def _checkout() -> GitCheckout:
    from tritonops.remote.client.checkout import read_checkout

    return read_checkout(PROJECT, store_dir=project().settings.store_dir)
