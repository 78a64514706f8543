"""The embedded Triton: a local process, without Docker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Context

from tasks.shared.checkout import project
from tasks.shared.options import integer, seconds
from tasks.shared.task import task
from tasks.shared.terminal import note, print_json
from tasks.shared.triton_output import show_models

if TYPE_CHECKING:
    from tritonops.server.status import ServerStatus
    from tritonops.settings import Settings

JSON = {"json": "Print one JSON document."}
START_TIMEOUT = {
    "timeout": "Seconds for the start with all its loads (default: 600).",
    "model-timeout": "Seconds for the load of one model (default: 60, more for large files).",
}
STOP_TIMEOUT = {"timeout": "Seconds to wait for requests under way before it is killed; 40 otherwise."}


@task(help=START_TIMEOUT | JSON)
def up(c: Context, timeout: str | None = None, model_timeout: str | None = None, json: bool = False) -> None:
    """Start Triton over the models directory, load every model, and list them."""
    _start(project().settings, seconds("--timeout", timeout), seconds("--model-timeout", model_timeout), quiet=json)
    _show(project().settings, json=json)


@task(help=STOP_TIMEOUT)
def down(c: Context, timeout: str | None = None) -> None:
    """Stop Triton once it has answered the requests under way."""
    _stop(project().settings, seconds("--timeout", timeout))


@task(help=START_TIMEOUT | JSON)
def restart(c: Context, timeout: str | None = None, model_timeout: str | None = None, json: bool = False) -> None:
    """Stop Triton and start it again, with the settings as they are now."""
    _stop(project().settings, None)
    _start(project().settings, seconds("--timeout", timeout), seconds("--model-timeout", model_timeout), quiet=json)
    _show(project().settings, json=json)


@task(help={"lines": "How many of the last lines; 100 otherwise.", "follow": "Go on until Ctrl-C."})
def logs(c: Context, lines: str | None = None, follow: bool = False) -> None:
    """Print the end of Triton's log."""
    import subprocess

    from tritonops.server.embedded import log_path
    from tritonops.server.log_file import tail_command

    log, count = log_path(project().settings.server_dir), integer("--lines", lines)
    # Whoever reads this may have read enough (`| head`): how tail ended is of no interest.
    subprocess.run(tail_command(log, lines=100 if count is None else count, follow=follow), check=False)


@task(help=JSON)
def status(c: Context, json: bool = False) -> None:
    """Show whether Triton is up, where it listens, and its models."""
    _show(project().settings, json=json)


def _start(options: Settings, timeout: float | None, model_timeout: float | None, *, quiet: bool) -> None:
    from tritonops.server import embedded
    from tritonops.server.installation import fetch_libpython
    from tritonops.server.ports import Ports

    fetch_libpython(note)
    if running := embedded.find(options.server_dir):
        note(f"Triton is up already, process {running.process.pid}. `inv server.restart` starts it anew.")
    elif not quiet:
        note(f"Starting Triton and loading the models of {options.models_dir}")
    ports = Ports(options.http_port, options.grpc_port, options.metrics_port)
    embedded.start(
        options.models_dir,
        options.server_dir,
        ports=ports,
        token=options.triton_token,
        timeout=embedded.START_TIMEOUT if timeout is None else timeout,
        model_timeout=model_timeout,
    )


def _stop(options: Settings, timeout: float | None) -> None:
    from tritonops.server import embedded

    server = embedded.find(options.server_dir)
    if server is None:
        note("Triton is not up.")
    elif embedded.stop(server, timeout=embedded.STOP_TIMEOUT if timeout is None else timeout):
        note(f"Triton is down; it was process {server.process.pid}.")
    else:
        note(f"Triton, process {server.process.pid}, did not end in time and was killed.")


def _show(options: Settings, *, json: bool) -> None:
    """A model that is not served is an error, after the table that has the others."""
    from tritonops.server.status import server_status

    found = server_status(options.server_dir, token=options.triton_token)
    print_json(found) if json else _show_table(found)
    found.raise_failures()


def _show_table(found: ServerStatus) -> None:
    note(f"Triton is up, process {found.pid}: gRPC {found.grpc_url}, HTTP {found.http_url}")
    show_models(found.models, json=False)
