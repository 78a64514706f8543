"""What the tasks about hosts share: their options, the work on each host, and the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tasks.shared.checkout import project
from tasks.shared.options import names
from tasks.shared.terminal import note, print_json, print_table

if TYPE_CHECKING:
    from tritonops.remote.client.fleet import HostResult, Work
    from tritonops.remote.ssh.host import Host

_T = TypeVar("_T")

HOSTS = {
    "host": "Host name or alias of ssh_config. Repeatable, or comma-separated.",
    "group": "All hosts of a group in hosts.toml. Repeatable, or comma-separated.",
}
HOST_LISTS = ["host", "group"]


def host_names(host: Sequence[str], group: Sequence[str]) -> list[str]:
    """List the hosts that --host and --group select."""
    return [settings.name for settings in project().hosts.select(names(host), names(group))]


def run_on_hosts(
    hosts: Sequence[str],
    work: Work[_T],
    *,
    canary: bool = False,
    prepare: Callable[[], object] = lambda: None,
    quiet: bool = False,
) -> list[HostResult[_T]]:
    """Run the work on all hosts, with a line for each step; `prepare` runs during the logins."""
    from tritonops.remote.client import fleet

    def on_step(host: str, line: str) -> None:
        if not quiet:
            note(f"{host}: {line}")

    settings = project().settings
    return fleet.run_on_hosts(hosts, work, settings=settings, on_step=on_step, canary=canary, prepare=prepare)


def show_rows_of_each(
    hosts: Sequence[str], read: Callable[[Host], list[dict[str, Any]]], columns: Sequence[str], *, json: bool
) -> None:
    """Read rows from each host, and print them all."""
    from tritonops.remote.client.fleet import raise_failures

    results = run_on_hosts(hosts, lambda host, on_step: read(host), quiet=json)
    rows = [{"host": result.host, **row} for result in results for row in result.value or ()]
    show_rows(rows, columns, json=json)
    raise_failures(results, what="no answer")


def stream_from_each(hosts: Sequence[str], stream: Callable[..., None]) -> None:
    """Print the output of each host as it comes, stdout and stderr apart; with several hosts, after its name.

    `stream` takes the host, `on_line` and `on_error_line`.
    """
    from tritonops.remote.client.fleet import raise_failures

    def run(host: Host) -> None:
        prefix = f"{host.name}: " if len(hosts) > 1 else ""
        stream(
            host,
            on_line=lambda line: print(f"{prefix}{line}", flush=True),
            on_error_line=lambda line: note(f"{prefix}{line}"),
        )

    raise_failures(run_on_hosts(hosts, lambda host, on_step: run(host)), what="failed")


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, json: bool) -> None:
    """Print all of it as one JSON document, or these columns as a table."""
    if json:
        print_json(list(rows))
    elif rows:
        print_table(columns, [[row[column] for column in columns] for row in rows])


def run_there(name: str, task: str, *arguments: str, **options: object) -> None:
    """Run a task of this suite on a host, for one that works on the server's own disk; stdout and stderr stay apart."""
    from tritonops.remote.run import run_task
    from tritonops.remote.ssh.host import Host

    words = [task, *arguments, *(word for option, value in options.items() for word in _format_option(option, value))]
    with Host.of(name, project().settings) as host:
        run_task(host, words, on_line=print, on_error_line=note)


def _format_option(option: str, value: object) -> list[str]:
    """Write an option for the command line; none that was not given."""
    if isinstance(value, list):
        return [word for item in value for word in _format_option(option, item)]
    if value in (None, False):
        return []
    flag = f"--{option.replace('_', '-')}"
    return [flag] if value is True else [flag, str(value)]
