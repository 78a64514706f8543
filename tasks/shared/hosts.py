"""What the tasks about hosts share: which hosts are meant, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tasks.shared.checkout import project
from tasks.shared.options import names
from tasks.shared.terminal import note, print_json, print_table

if TYPE_CHECKING:
    from tritonops.remote.client.fleet import HostResult, Work
    from tritonops.remote.client.inventory import HostSettings

_T = TypeVar("_T")

HOSTS = {
    "host": "An alias of ssh_config or a host name; several times, or as a comma-separated list.",
    "group": "Every host of this group of hosts.toml; several times too.",
}
HOST_LISTS = ["host", "group"]


def selected(host: Sequence[str], group: Sequence[str]) -> list[HostSettings]:
    """Read which hosts were named."""
    return project().hosts.select(names(host), names(group))


def run_on_hosts(
    hosts: list[HostSettings],
    work: Work[_T],
    *,
    canary: bool = False,
    before: Callable[[], object] = lambda: None,
    quiet: bool = False,
) -> list[HostResult[_T]]:
    """Do the work on all of them, with a line for each step of each; `before` runs while they are logged in to."""
    from tritonops.remote.client import fleet

    def on_step(host: str, line: str) -> None:
        if not quiet:
            note(f"{host}: {line}")

    ssh_config = project().settings.ssh_config
    return fleet.run_on_hosts(hosts, work, ssh_config=ssh_config, on_step=on_step, canary=canary, before=before)


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, json: bool) -> None:
    """Print one JSON document with all there is, or a table of these columns."""
    if json:
        print_json(list(rows))
    elif rows:
        print_table(columns, [[row[column] for column in columns] for row in rows])


def run_there(host: str, task: str, *arguments: str, **options: object) -> None:
    """Run a task of this suite on a host: one that works on the server's own disk. stdout and stderr stay apart."""
    from tritonops.remote.run import run_task
    from tritonops.remote.ssh.host import Host

    words = [task, *arguments, *(word for name, value in options.items() for word in _written(name, value))]
    with Host(host, ssh_config=project().settings.ssh_config) as on:
        run_task(on, project().settings.remote_dir, words, show=print, on_error_line=note)


def _written(option: str, value: object) -> list[str]:
    """Write an option as a person would; one that was not given is left out."""
    if isinstance(value, list):
        return [word for item in value for word in _written(option, item)]
    if value in (None, False):
        return []
    flag = f"--{option.replace('_', '-')}"
    return [flag] if value is True else [flag, str(value)]
