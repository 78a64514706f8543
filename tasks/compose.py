"""Triton in Docker Compose: on a GPU server, or on CPU for a laptop."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke import Context

from tasks.shared.checkout import PROJECT, project, uv
from tasks.shared.options import integer, seconds
from tasks.shared.task import task
from tasks.shared.terminal import note, print_json, print_table
from tasks.shared.triton_output import show_models

if TYPE_CHECKING:
    from tritonops.compose.service import Service
    from tritonops.compose.serving import ServingResult

FILES = {
    "cpu": "Use ml.yml (default: COMPOSE_FILE, or docker-compose.yml).",
    "service": "Name of Triton's service in those files (default: triton).",
}
TIMEOUT = {
    "timeout": "Timeout of the start with all loads, in seconds (default: 600).",
    "model-timeout": "Timeout of one model's load, in seconds (default: 60, more for large files).",
}
JSON = {"json": "Print one JSON document."}
BUILD = {"build": "Build the image first, if the files have a build section (default: only a missing one)."}


@task(help=FILES | TIMEOUT | JSON | BUILD)
def up(
    c: Context,
    cpu: bool = False,
    service: str | None = None,
    timeout: str | None = None,
    model_timeout: str | None = None,
    json: bool = False,
    build: bool = False,
) -> None:
    """Start Triton, and wait for its models."""
    _up(_service(cpu, service), timeout, model_timeout, json=json, build=build)


@task(help=FILES | TIMEOUT | JSON)
def restart(
    c: Context,
    cpu: bool = False,
    service: str | None = None,
    timeout: str | None = None,
    model_timeout: str | None = None,
    json: bool = False,
) -> None:
    """Restart Triton with the current settings."""
    _up(_service(cpu, service), timeout, model_timeout, json=json, recreate=True)


@task(help=FILES)
def down(c: Context, cpu: bool = False, service: str | None = None) -> None:
    """Stop Triton after its in-flight requests; remove the container."""
    from tritonops.compose import service as compose

    compose.down(_service(cpu, service), watch=note)


@task(
    help=FILES
    | {
        "follow": "Follow the output (Ctrl-C to stop).",
        "tail": "Number of lines from the end (default: all).",
        "since": "Only lines after this time, or of the last 10m, 2h, ...",
    }
)
def logs(
    c: Context,
    cpu: bool = False,
    service: str | None = None,
    follow: bool = False,
    tail: str | None = None,
    since: str | None = None,
) -> None:
    """Print Triton's log."""
    from tritonops.compose import service as compose

    try:
        compose.logs(_service(cpu, service), watch=_line, follow=follow, tail=integer("--tail", tail), since=since)
    except KeyboardInterrupt:
        if not follow:
            raise


@task(help=FILES | JSON)
def ps(c: Context, cpu: bool = False, service: str | None = None, json: bool = False) -> None:
    """Show the container's state, health and ports."""
    from tritonops.compose.service import containers, settle

    chosen = _service(cpu, service)
    settle(chosen, watch=note)
    rows = containers(chosen)
    if json:
        print_json(rows)
    else:
        cells = [[row.name, row.image, row.state, row.health, ", ".join(row.ports)] for row in rows]
        print_table(["container", "image", "state", "health", "ports"], cells)


@task(help=FILES | {"timeout": "Timeout in seconds (default: none)."})
def pull(c: Context, cpu: bool = False, service: str | None = None, timeout: str | None = None) -> None:
    """Pull the image."""
    from tritonops.compose import service as compose

    limit = seconds("--timeout", timeout)
    compose.pull(_service(cpu, service), watch=note, timeout=limit, interactive=sys.stderr.isatty())


@task(
    name="build-cpu",
    help={
        "base-image": "Slim Python 3.11 or 3.12 image to build on (default: the one in docker/triton-cpu/Dockerfile).",
        "tag": "Name of the image (default: localhost/triton-cpu).",
    },
)
def build_cpu(c: Context, base_image: str | None = None, tag: str | None = None) -> None:
    """Build the CPU image from the locked wheels."""
    from tritonops.compose.build_cpu import CPU_IMAGE, ImageSource, build
    from tritonops.compose.engine.docker import Docker

    build(Docker(PROJECT), ImageSource.of(PROJECT), uv=uv(), watch=note, tag=tag or CPU_IMAGE, base_image=base_image)
    print(tag or CPU_IMAGE)
    note(f"`./inv compose.up --cpu` uses it with TRITON_IMAGE={tag or CPU_IMAGE}.")


def _service(cpu: bool, name: str | None) -> Service:
    from tritonops.compose.commands import SERVICE
    from tritonops.compose.service import Service

    return Service.of(project(), cpu=cpu, name=name or SERVICE)


def _up(
    service: Service,
    timeout: str | None,
    model_timeout: str | None,
    *,
    json: bool,
    recreate: bool = False,
    build: bool = False,
) -> None:
    from tritonops.compose import service as compose
    from tritonops.triton.startup.served import raise_unserved

    limit = seconds("--timeout", timeout)
    served = compose.up(
        service,
        watch=note,
        timeout=compose.UP_TIMEOUT if limit is None else limit,
        model_timeout=seconds("--model-timeout", model_timeout),
        interactive=sys.stderr.isatty(),
        recreate=recreate,
        build=build,
    )
    print_json(served) if json else _show(served)
    if not served.models:
        where = service.models_folder or "its models volume"
        note(f"warning: Triton serves nothing, for {where} has no models: `inv models.download` fetches them")
    raise_unserved(served.models, hint="\n".join([*served.causes, "The last errors of its log:", *served.errors]))


def _show(served: ServingResult) -> None:
    note(f"Triton is running: gRPC {served.url}")
    show_models(served.models, json=False)


def _line(line: str) -> None:
    print(line, flush=True)
