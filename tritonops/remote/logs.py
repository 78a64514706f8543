"""Show the log of a host's Triton, or of its last deploy."""

from __future__ import annotations

import shlex

from tritonops.remote.client.host_state import survey
from tritonops.remote.layout.records import LOGS
from tritonops.remote.run import Show, require_release, run_there
from tritonops.remote.ssh.host import Host


def show_logs(host: Host, directory: str, *, lines: int, follow: bool, show: Show, show_error: Show) -> None:
    """Show the end of the server's log, and go on with what it writes where `follow` holds."""
    state = survey(host, directory)
    facts = require_release(host, state)
    words = [*LOGS[facts.runtime], str(lines), *facts.files, *(["--follow"] if follow else [])]
    run_there(host, state, words, show=show, show_error=show_error)


def show_activation_log(host: Host, directory: str, *, show: Show) -> None:
    """Show what the newest deploy or rollback wrote on the host."""
    root = shlex.quote(survey(host, directory).root)
    newest = 'cat -- "$(ls -t releases/*/runs/*.log | head -1)" /dev/null'
    host.run(f"cd {root} 2>/dev/null && {newest} | grep -v '^outcome'", on_line=show, check=False)
