"""Whether a host is fit to serve."""

from __future__ import annotations

import shlex

from tritonops.errors import TritonError
from tritonops.remote.client.endpoint import require_closed, served_now
from tritonops.remote.client.host_state import HostState, inspect_host, parse
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.client.preflight import (
    _EXAMINE,
    _SERVED_IMAGE,
    MORE,
    NEEDS,
    HostAnswers,
    PreflightResult,
    preflight,
    run_check,
)
from tritonops.remote.ssh.host import Host


def examine(host: Host, directory: str, here: HostSettings) -> list[PreflightResult]:
    """Look at all that a host needs to serve, and say what to do about what is missing."""
    state = inspect_host(host, directory)
    image = shlex.quote(state.image) if state.image else _SERVED_IMAGE
    questions = preflight(here, venv=state.release.venv if state.release else "", image=image)
    script = f'cd "{state.root}" 2>/dev/null || cd /\n{questions}{_EXAMINE}'
    ports = f"{state.http_port} {state.grpc_port} {state.metrics_port}"
    said = HostAnswers({**parse(host.run(script, check=False).stdout), "ports": [ports]}, here)
    return [*(run_check(check, said) for check in (*NEEDS, *MORE)), _token(host, state)]


def _token(host: Host, state: HostState) -> PreflightResult:
    """Whether the token of the host closes control: asked of its Triton, where that runs."""
    try:
        if state.token is None or served_now(host, state) is None:
            return PreflightResult("token", "not asked")
        require_closed(host, state)
    except TritonError as exc:
        return PreflightResult("token", "problem", str(exc), exc.hint)
    return PreflightResult("token", "ok")
