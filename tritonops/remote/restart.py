"""Restart the Triton of a host."""

from __future__ import annotations

from tritonops.errors import InputError
from tritonops.remote.client.activation_log import require_unlocked
from tritonops.remote.client.host_state import inspect_host
from tritonops.remote.layout.records import RESTART
from tritonops.remote.run import OnLine, require_release, run_release_task
from tritonops.remote.ssh.host import Host


def restart_server(host: Host, directory: str, *, show: OnLine, on_error_line: OnLine) -> None:
    """Restart the server; the models on disk are loaded anew."""
    state = inspect_host(host, directory)
    record = require_release(host, state)
    require_unlocked(host, state)
    if state.interrupted:
        problem = f"{host.name}: a switch to {state.interrupted} was interrupted, and half of it would be served"
        raise InputError(problem, hint="inv remote.deploy, or inv remote.rollback, puts that right.")
    run_release_task(host, state, [RESTART[record.runtime], *record.files], show=show, on_error_line=on_error_line)
