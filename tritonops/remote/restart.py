"""Restart the Triton of a host."""

from __future__ import annotations

from tritonops.errors import InputError
from tritonops.remote.client.activation_log import require_free
from tritonops.remote.client.host_state import survey
from tritonops.remote.layout.records import RESTART
from tritonops.remote.run import Show, require_release, run_there
from tritonops.remote.ssh.host import Host


def restart_server(host: Host, directory: str, *, show: Show, show_error: Show) -> None:
    """Restart the server; the models on disk are loaded anew."""
    state = survey(host, directory)
    facts = require_release(host, state)
    require_free(host, state)
    if state.interrupted:
        problem = f"{host.name}: a switch to {state.interrupted} was interrupted, and half of it would be served"
        raise InputError(problem, hint="inv remote.deploy, or inv remote.rollback, puts that right.")
    run_there(host, state, [RESTART[facts.runtime], *facts.files], show=show, show_error=show_error)
