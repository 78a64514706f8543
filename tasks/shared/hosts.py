"""What the tasks about hosts share: their options, the work on each host, and the results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tasks.output.terminal import count, note, print_json, print_table
from tasks.output.waiting import waiting
from tasks.shared.checkout import project
from tasks.shared.options import names
from tritonops.errors import UnknownHostNameError, near_misses

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
    shows_steps: bool = True,
) -> list[HostResult[_T]]:
    """Run the work on all hosts, with a line for each step; `prepare` runs during the logins.

    Where the work prints by itself, `shows_steps` is false.
    """
    from tritonops.remote.client import fleet

    settings = project().settings
    with waiting(f"{count(len(hosts), 'host')} at work", quiet=quiet or not shows_steps) as shown:
        for name in hosts:
            shown.set(name, "connect")

        def on_step(host: str, line: str) -> None:
            shown.set(host, line)
            if not quiet:
                note(f"{host}: {line}")

        results = fleet.run_on_hosts(hosts, work, settings=settings, on_step=on_step, canary=canary, prepare=prepare)
    for result in results:
        if isinstance(result.error, UnknownHostNameError):
            result.error.hint = near_misses(result.host, known_hosts(), "hosts") or result.error.hint
    return results


def known_hosts() -> list[str]:
    """List the hosts of hosts.toml, and the aliases of ssh_config."""
    config = project().settings.ssh_config or Path("~/.ssh/config").expanduser()
    return sorted({*project().hosts.hosts, *_aliases(config)})


def _aliases(config: Path) -> Iterator[str]:
    with suppress(OSError):
        for line in config.read_text(encoding="utf-8", errors="replace").splitlines():
            if match := re.fullmatch(r"\s*host(?:\s+|\s*=\s*)(.+)", line, re.IGNORECASE):
                yield from (word for word in match[1].split() if not re.search(r"[*?!]", word))


def show_rows_of_each(
    hosts: Sequence[str], read: Callable[[Host], list[dict[str, Any]]], columns: Sequence[str], *, json: bool
) -> None:
    """Read rows from each host, and print them all."""
    from tritonops.remote.client.fleet import raise_failures

    results = run_on_hosts(hosts, lambda host, on_step: read(host), quiet=json)
    rows = [{"host": result.host, **row} for result in results for row in result.value or ()]
    if rows or not all(result.error for result in results):
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

    raise_failures(run_on_hosts(hosts, lambda host, on_step: run(host), shows_steps=False), what="failed")


def show_output_of_each(hosts: Sequence[str], stream: Callable[..., None], *, json: bool) -> None:
    """Print the output of each host as it comes, or as one JSON document at the end."""
    if not json:
        stream_from_each(hosts, stream)
        return
    from tritonops.remote.client.fleet import raise_failures

    outputs: dict[str, dict[str, list[str]]] = {name: {"stdout": [], "stderr": []} for name in hosts}

    def run(host: Host) -> None:
        output = outputs[host.name]
        stream(host, on_line=output["stdout"].append, on_error_line=output["stderr"].append)

    results = run_on_hosts(hosts, lambda host, on_step: run(host), quiet=True)
    errors = {result.host: result.error and str(result.error) for result in results}
    print_json([{"host": name, **output, "error": errors[name]} for name, output in outputs.items()])
    raise_failures(results, what="failed")


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
