"""Tasks of the collection `remote` that run something on hosts: logs, restart, run and env."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from invoke import Context

from tasks.output.terminal import confirm, note
from tasks.shared.hosts import HOST_LISTS, HOSTS, selected_hosts, show_output_of_each, show_rows_of_each
from tasks.shared.options import JSON, YES, file_path, integer, refuse_followed_json
from tasks.shared.streams import piped_stdin
from tasks.shared.task import task

if TYPE_CHECKING:
    from tritonops.remote.ssh.host import Host


@task(
    help=HOSTS
    | {
        "lines": "Number of lines from the end (default: 100).",
        "follow": "Follow the output (Ctrl-C to stop).",
        "deploy": "Show the log of the newest deploy or rollback, not of the server.",
    }
    | JSON,
    iterable=HOST_LISTS,
    read_only=True,
)
def logs(
    c: Context,
    host: list[str],
    group: list[str],
    lines: str | None = None,
    follow: bool = False,
    deploy: bool = False,
    json: bool = False,
    parallel: str | None = None,
) -> None:
    """Show the server's log of each host."""
    from tritonops.remote.logs import show_activation_log, show_logs

    count = integer("--lines", lines, at_least=1) or 100

    refuse_followed_json(follow=follow, json=json)
    stream = show_activation_log if deploy else functools.partial(show_logs, lines=count, follow=follow)
    hosts = selected_hosts(host, group, parallel)
    if follow:
        hosts = replace(hosts, at_once=len(hosts.names))  # no log ends, so that another host could have its turn
    show_output_of_each(hosts, stream, json=json)


@task(help=HOSTS | YES | JSON, iterable=HOST_LISTS)
def restart(
    c: Context, host: list[str], group: list[str], yes: bool = False, json: bool = False, parallel: str | None = None
) -> None:
    """Restart the server of each host.

    In-flight requests are answered; new ones fail until the server runs again.
    """
    from tritonops.remote.restart import restart_server

    hosts = selected_hosts(host, group, parallel)
    confirm(f"Restart Triton on {', '.join(hosts.names)}?", yes=yes)
    show_output_of_each(hosts, restart_server, json=json)


@task(help=HOSTS | JSON, iterable=HOST_LISTS)
def run(c: Context, host: list[str], group: list[str], json: bool = False, parallel: str | None = None) -> None:
    """Run a task on each host.

    It has the host's own settings: inv remote.run --host gpu-01 -- triton.list
    """
    from tritonops.remote.run import run_task

    words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    hosts = selected_hosts(host, group, parallel)
    stdin = piped_stdin() if len(hosts.names) == 1 else None  # several hosts cannot read one stdin
    show_output_of_each(hosts, functools.partial(run_task, words=words, stdin=stdin), json=json)


@task(
    help=HOSTS
    | {
        "from_": "File of KEY=VALUE lines, as in TRITON_IMAGE=nvcr.io/nvidia/tritonserver:26.07-py3; an empty value "
        "removes the key (default: stdin).",
        "names": "Only list the keys that are set.",
    }
    | JSON,
    iterable=HOST_LISTS,
)
def env(
    c: Context,
    host: list[str],
    group: list[str],
    from_: str | None = None,
    names: bool = False,
    json: bool = False,
    parallel: str | None = None,
) -> None:
    """Set secrets and settings of each host.

    They are read from stdin or a file, so no process list has them, and are never shown.
    They are in the env file of the host, and take effect at the next deploy; remote.plan shows it.
    Keys that are not given stay as they are.
    """
    from tritonops.remote import env as use_case

    hosts = selected_hosts(host, group, parallel)
    values = {} if names else use_case.parse_values(_read(from_), where=from_ or "stdin")

    def rows(host: Host) -> list[dict[str, Any]]:
        if values:
            use_case.set_values(host, values)
        keys = use_case.names_set(host)
        return [{"set": [*keys] if json else " ".join(keys)}]

    show_rows_of_each(hosts, rows, ("host", "set"), json=json)
    if values:
        note("This takes effect at the next deploy.")


def _read(path: str | None) -> bytes:
    from tritonops.dotenv import read_bytes

    if source := file_path("--from", path):
        return read_bytes(source)
    if sys.stdin.isatty():
        note("KEY=VALUE lines, then Ctrl-D:")
    return sys.stdin.buffer.read()
