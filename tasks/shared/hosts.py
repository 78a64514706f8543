"""What the tasks about hosts share: their options, the work on each host, and the results."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from tasks.output.terminal import count, note, print_json, print_table
from tasks.output.waiting import waiting
from tasks.shared.checkout import project
from tasks.shared.options import integer, names
from tritonops.errors import UnknownHostNameError, near_misses

if TYPE_CHECKING:
    from tritonops.remote.client.fleet import HostResult, Work
    from tritonops.remote.ssh.host import Host

_T = TypeVar("_T")


_AT_ONCE = 32
HOSTS = {
    "host": "Host name or alias of ssh_config. Repeatable, or comma-separated.",
    "group": "All hosts of a group in hosts.toml. Repeatable, or comma-separated.",
    "parallel": f"Maximum number of hosts at once (default: {_AT_ONCE}).",
}
HOST_LISTS = ["host", "group"]


@dataclass(frozen=True)
class SelectedHosts:
    """The hosts that a command is for, and at most how many it works on at once."""

    names: tuple[str, ...]
    at_once: int = _AT_ONCE


def selected_hosts(host: Sequence[str], group: Sequence[str], parallel: str | None) -> SelectedHosts:
    """Select the hosts of --host and --group. Without a group, hosts.toml is read during the logins."""
    found, groups = names(host), names(group)
    if groups or not found:
        found = [settings.name for settings in project().hosts.select(found, groups)]
    return SelectedHosts(tuple(dict.fromkeys(found)), integer("--parallel", parallel, at_least=1) or _AT_ONCE)


def run_on_hosts(
    hosts: SelectedHosts,
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

    def prepare_all() -> None:
        _ = project().hosts  # read once, and not by the threads of several hosts
        prepare()

    settings = project().settings
    with waiting(f"{count(len(hosts.names), 'host')} at work", quiet=quiet or not shows_steps) as shown:
        for name in hosts.names:
            shown.set(name, "connect")

        def on_step(host: str, line: str) -> None:
            shown.set(host, line)
            if not quiet:
                note(f"{host}: {line}")

        results = fleet.run_on_hosts(
            hosts.names,
            work,
            at_once=hosts.at_once,
            settings=settings,
            on_step=on_step,
            canary=canary,
            prepare=prepare_all,
        )
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
    hosts: SelectedHosts, read: Callable[[Host], list[dict[str, Any]]], columns: Sequence[str], *, json: bool
) -> None:
    """Read rows from each host, and print them all."""
    from tritonops.remote.client.fleet import raise_failures

    results = run_on_hosts(hosts, lambda host, on_step: read(host), quiet=json)
    rows = [{"host": result.host, **row} for result in results for row in result.value or ()]
    if rows or not all(result.error for result in results):
        show_rows(rows, columns, json=json)
    raise_failures(results, what="no answer")


def stream_from_each(hosts: SelectedHosts, stream: Callable[..., None]) -> None:
    """Print the output of each host as it comes, stdout and stderr apart; with several hosts, after its name.

    `stream` takes the host, and a sink for each of its streams. The bytes of a single host pass as they are.
    """
    from tritonops.remote.client.fleet import raise_failures
    from tritonops.remote.ssh.exchange import Lines

    def run(host: Host) -> None:
        if len(hosts.names) == 1:
            stream(host, Printed(sys.stdout), Printed(sys.stderr))
            return
        stdout = Lines(lambda line: print(f"{host.name}: {line}", flush=True), keeps_text=False)
        stream(host, stdout, Lines(lambda line: note(f"{host.name}: {line}"), keeps_text=False))

    raise_failures(run_on_hosts(hosts, lambda host, on_step: run(host), shows_steps=False), what="failed")


def show_output_of_each(hosts: SelectedHosts, stream: Callable[..., None], *, json: bool) -> None:
    """Print the output of each host as it comes, or as one JSON document at the end."""
    if not json:
        stream_from_each(hosts, stream)
        return
    from tritonops.remote.client.fleet import raise_failures
    from tritonops.remote.ssh.exchange import Lines

    outputs: dict[str, dict[str, list[str]]] = {name: {"stdout": [], "stderr": []} for name in hosts.names}

    def run(host: Host) -> None:
        output = outputs[host.name]
        sinks = (Lines(output[name].append, keeps_text=False) for name in ("stdout", "stderr"))
        stream(host, *sinks)

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
        run_task(host, Printed(sys.stdout), Printed(sys.stderr), words=words)


@dataclass(frozen=True)
class Printed:
    """A sink for the bytes of a stream, which may be no text."""

    stream: TextIO

    def write(self, data: bytes) -> None:
        """Print them at once."""
        self.stream.flush()
        self.stream.buffer.write(data)
        self.stream.buffer.flush()

    def end(self) -> None:
        """Do nothing: the stream goes on."""


def _format_option(option: str, value: object) -> list[str]:
    """Write an option for the command line; none that was not given."""
    if isinstance(value, list):
        return [word for item in value for word in _format_option(option, item)]
    if value in (None, False):
        return []
    flag = f"--{option.replace('_', '-')}"
    return [flag] if value is True else [flag, str(value)]
