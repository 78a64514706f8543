"""Restart the Triton of a host."""

from __future__ import annotations

from tritonops.errors import InputError
from tritonops.remote.client.activation_log import require_unlocked
from tritonops.remote.client.host_state import inspect_host
from tritonops.remote.layout.records import RESTART
from tritonops.remote.run import require_release, run_release_task
from tritonops.remote.ssh.exchange import Sink
from tritonops.remote.ssh.host import Host


def restart_server(host: Host, stdout: Sink, stderr: Sink) -> None:
    """Restart the server, which reloads the models on disk."""
    state = inspect_host(host)
    release = require_release(host, state)
    require_unlocked(host, state)
    if state.interrupted:
        problem = f"{host.name}: a switch to {state.interrupted} was interrupted, and a restart would serve half of it"
        raise InputError(problem, hint="To fix it: inv remote.deploy, or inv remote.rollback")
    words = [RESTART[release.runtime], *release.compose_options]
    run_release_task(host, state, words, stdout, stderr)
