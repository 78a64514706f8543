"""OnLine the log of a host's Triton, or of its last deploy."""

from __future__ import annotations

import shlex

from tritonops.remote.client.host_state import inspect_host
from tritonops.remote.layout.records import LOGS
from tritonops.remote.run import OnLine, require_release, run_release_task
from tritonops.remote.ssh.host import Host


def show_logs(host: Host, directory: str, *, lines: int, follow: bool, show: OnLine, on_error_line: OnLine) -> None:
    """OnLine the end of the server's log, and go on with what it writes where `follow` holds."""
    state = inspect_host(host, directory)
    record = require_release(host, state)
    words = [*LOGS[record.runtime], str(lines), *record.files, *(["--follow"] if follow else [])]
    run_release_task(host, state, words, show=show, on_error_line=on_error_line)


def show_activation_log(host: Host, directory: str, *, show: OnLine) -> None:
    """OnLine what the newest deploy or rollback wrote on the host."""
    root = shlex.quote(inspect_host(host, directory).root)
    newest = 'cat -- "$(ls -t releases/*/runs/*.log | head -1)" /dev/null'
    host.run(f"cd {root} 2>/dev/null && {newest} | grep -v '^outcome'", on_line=show, check=False)
