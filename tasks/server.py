"""The embedded Triton: a local process, without Docker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Context

from tasks.output.terminal import count, note, print_json
from tasks.output.triton_output import show_models
from tasks.output.waiting import waiting
from tasks.shared.checkout import project
from tasks.shared.options import JSON, integer, refuse_followed_json, seconds
from tasks.shared.task import task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tritonops.server.status import ServerStatus
    from tritonops.settings import Settings

START_TIMEOUT = {
    "timeout": "Timeout of the start with all loads, in seconds (default: 600).",
    "model-timeout": "Timeout of one model's load, in seconds (default: 60, more for large files).",
}
STOP_TIMEOUT = {"timeout": "Seconds to wait for in-flight requests before it is killed (default: 40)."}


@task(help=START_TIMEOUT | JSON)
def up(c: Context, timeout: str | None = None, model_timeout: str | None = None, json: bool = False) -> None:
    """Start Triton, and load all models."""
    _start(project().settings, seconds("--timeout", timeout), seconds("--model-timeout", model_timeout), quiet=json)
    _show(project().settings, json=json)


@task(help=STOP_TIMEOUT | JSON)
def down(c: Context, timeout: str | None = None, json: bool = False) -> None:
    """Stop Triton after its in-flight requests."""
    stopped = _stop(project().settings, seconds("--timeout", timeout))
    if json:
        print_json(stopped)


@task(help=START_TIMEOUT | JSON)
def restart(c: Context, timeout: str | None = None, model_timeout: str | None = None, json: bool = False) -> None:
    """Restart Triton with the current settings."""
    _stop(project().settings, None)
    _start(project().settings, seconds("--timeout", timeout), seconds("--model-timeout", model_timeout), quiet=json)
    _show(project().settings, json=json)


@task(
    help={"lines": "Number of lines from the end (default: 100).", "follow": "Follow the output (Ctrl-C to stop)."}
    | JSON,
    read_only=True,
)
def logs(c: Context, lines: str | None = None, follow: bool = False, json: bool = False) -> None:
    """Print Triton's log."""
    import subprocess

    from tritonops.server.embedded import log_path
    from tritonops.server.log_file import tail_command

    log, count = log_path(project().settings.server_dir), integer("--lines", lines, at_most=1_000_000_000)
    refuse_followed_json(follow=follow, json=json)
    command = tail_command(log, lines=100 if count is None else count, follow=follow)
    # The reader may have read enough (`| head`): tail's exit code does not matter.
    done = subprocess.run(command, check=False, capture_output=json, text=True, errors="replace")
    if json:
        print_json({"lines": done.stdout.splitlines()})


@task(help=JSON, read_only=True)
def status(c: Context, json: bool = False) -> None:
    """Show state, addresses and models of Triton."""
    _show(project().settings, json=json)


def _start(options: Settings, timeout: float | None, model_timeout: float | None, *, quiet: bool) -> None:
    from tritonops.server import embedded
    from tritonops.server.installation import fetch_libpython
    from tritonops.server.ports import Ports

    fetch_libpython(note)
    if running := embedded.find(options.server_dir):
        note(f"Triton is already running (pid {running.process.pid}). To restart it: inv server.restart")
    elif not quiet:
        note(f"Starting Triton and loading the models of {options.models_dir}")
    ports = Ports(options.http_port, options.grpc_port, options.metrics_port)
    try:
        with waiting("Triton loads its models", quiet=quiet) as shown:
            embedded.start(
                options.models_dir,
                options.server_dir,
                ports=ports,
                token=options.triton_token,
                timeout=embedded.START_TIMEOUT if timeout is None else timeout,
                model_timeout=model_timeout,
                on_progress=lambda active, left: shown.replace(_states(active, left)),
            )
    except KeyboardInterrupt:
        note("Triton keeps running." if embedded.find(options.server_dir) else "Triton was stopped.")
        raise


def _states(active: Sequence[str], left: int) -> dict[str, str]:
    states = dict.fromkeys(active, "loading")
    return {**states, "waiting": count(left, "model")} if left else states


def _stop(options: Settings, timeout: float | None) -> dict[str, object]:
    from tritonops.server import embedded, stopping

    server = embedded.find(options.server_dir)
    if server is None:
        note("Triton is not running.")
        return {"pid": None, "killed": False}
    pid = server.process.pid
    killed = not embedded.stop(server, timeout=stopping.STOP_TIMEOUT if timeout is None else timeout)
    note(f"Triton (pid {pid}) did not stop in time, and was killed." if killed else f"Triton is stopped (pid {pid}).")
    return {"pid": pid, "killed": killed}


def _show(options: Settings, *, json: bool) -> None:
    """Show the models, and raise for those that are not served."""
    from tritonops.server.status import server_status

    found = server_status(options.server_dir, token=options.triton_token)
    print_json(found) if json else _show_table(found)
    found.raise_failures()


def _show_table(found: ServerStatus) -> None:
    note(f"Triton is running (pid {found.pid}): gRPC {found.grpc_url}, HTTP {found.http_url}")
    show_models(found.models, json=False)
