"""Check whether a host is fit to serve."""

from __future__ import annotations

from tritonops.errors import TritonError
from tritonops.project import Project
from tritonops.remote.client.endpoint import require_closed, served_now
from tritonops.remote.client.host_state import HostState, inspect_host, parse_answers
from tritonops.remote.client.preflight import MORE, NEEDS, HostAnswers, PreflightResult, preflight, run_check
from tritonops.remote.layout.scripts import script
from tritonops.remote.ssh.host import Host


def examine(host: Host, project: Project) -> list[PreflightResult]:
    """Run all checks on a host; each result that is a problem has a remedy."""
    state, host_settings = inspect_host(host), project.hosts.settings(host.name)
    venv = state.release.venv if state.release else ""
    questions = preflight(host_settings, venv=venv, image=state.image or "", folder=state.root)
    output = host.run(questions + script("examine"), check=False)
    ports = f"{state.http_port} {state.grpc_port} {state.metrics_port}"
    answers = HostAnswers({**parse_answers(output.stdout), "ports": [ports]}, host_settings)
    return [*(run_check(check, answers) for check in (*NEEDS, *MORE)), _token(host, state)]


def _token(host: Host, state: HostState) -> PreflightResult:
    """Whether the running Triton of the host is closed by its token."""
    try:
        if state.token is None or served_now(host, state) is None:
            return PreflightResult("token", "not asked")
        require_closed(host, state)
    except TritonError as exc:
        return PreflightResult("token", "problem", str(exc), exc.hint)
    return PreflightResult("token", "ok")
