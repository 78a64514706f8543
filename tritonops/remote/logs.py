"""Show the log of a host's Triton, or of its last deploy."""

from __future__ import annotations

from tritonops.errors import CommandError
from tritonops.remote.client.host_state import inspect_host
from tritonops.remote.layout.records import LOGS
from tritonops.remote.layout.scripts import script
from tritonops.remote.run import require_release, run_release_task
from tritonops.remote.ssh.exchange import Sink
from tritonops.remote.ssh.host import Host


def show_logs(host: Host, stdout: Sink, stderr: Sink, *, lines: int, follow: bool) -> None:
    """Show the end of the server's log, and follow it with `follow`."""
    state = inspect_host(host)
    release = require_release(host, state)
    words = [*LOGS[release.runtime], str(lines), *release.compose_options, *(["--follow"] if follow else [])]
    run_release_task(host, state, words, stdout, stderr)


def show_activation_log(host: Host, stdout: Sink, stderr: Sink) -> None:
    """Show the log of the newest deploy or rollback."""
    state = inspect_host(host)
    if code := host.stream(script("newest_activation_log", root=state.root), stdout=stdout, stderr=stderr):
        raise CommandError(host.name, code, "")
