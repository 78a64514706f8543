"""Triton in Docker Compose: on a GPU server, or on CPU for a laptop."""

from __future__ import annotations

import functools
import re
import sys
from typing import TYPE_CHECKING

from invoke import Context

from tasks.output.terminal import note, print_json, print_table
from tasks.output.triton_output import show_models
from tasks.output.waiting import Waiting, waiting
from tasks.shared.checkout import PROJECT, project, uv
from tasks.shared.options import JSON, integer, refuse_followed_json, seconds
from tasks.shared.task import task

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
    limits = seconds("--timeout", timeout), seconds("--model-timeout", model_timeout)
    _up(_service(cpu, service), *limits, json=json, build=build)


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
    limits = seconds("--timeout", timeout), seconds("--model-timeout", model_timeout)
    _up(_service(cpu, service), *limits, json=json, recreate=True)


@task(help=FILES | JSON)
def down(c: Context, cpu: bool = False, service: str | None = None, json: bool = False) -> None:
    """Stop Triton, and remove its container."""
    from tritonops.compose import service as compose

    chosen = _service(cpu, service)
    before = [row.name for row in compose.containers(chosen)] if json else []
    compose.down(chosen, watch=note)
    if json:
        print_json({"removed": before})


@task(
    help=FILES
    | {
        "follow": "Follow the output (Ctrl-C to stop).",
        "tail": "Number of lines from the end (default: all).",
        "since": "Only lines after this time, or of the last 10m, 2h, ...",
    }
    | JSON,
    read_only=True,
)
def logs(
    c: Context,
    cpu: bool = False,
    service: str | None = None,
    follow: bool = False,
    tail: str | None = None,
    since: str | None = None,
    json: bool = False,
) -> None:
    """Print Triton's log."""
    from tritonops.compose import service as compose

    refuse_followed_json(follow=follow, json=json)
    lines, last = list[str](), integer("--tail", tail)
    watch = lines.append if json else _line
    try:
        compose.logs(_service(cpu, service), watch=watch, follow=follow, tail=last, since=since)
    except KeyboardInterrupt:
        if not follow:
            raise
    if json:
        print_json({"lines": lines})


@task(help=FILES | JSON, read_only=True)
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


@task(help=FILES | {"timeout": "Timeout in seconds (default: none)."} | JSON)
def pull(
    c: Context, cpu: bool = False, service: str | None = None, timeout: str | None = None, json: bool = False
) -> None:
    """Pull the image."""
    from tritonops.compose import service as compose

    limit, chosen = seconds("--timeout", timeout), _service(cpu, service)
    compose.pull(chosen, watch=note, timeout=limit, interactive=sys.stderr.isatty())
    if json:
        print_json({"image": chosen.definition.image})


@task(
    name="build-cpu",
    help={
        "base-image": "Slim Python 3.11 or 3.12 image to build on (default: the one in docker/triton-cpu/Dockerfile).",
        "tag": "Name of the image (default: localhost/triton-cpu).",
    }
    | JSON,
)
def build_cpu(c: Context, base_image: str | None = None, tag: str | None = None, json: bool = False) -> None:
    """Build the CPU image from the locked wheels."""
    from tritonops.compose.build_cpu import CPU_IMAGE, ImageSource, build
    from tritonops.compose.engine.docker import Docker

    image = tag or CPU_IMAGE
    with waiting(f"building {image}", quiet=json):
        build(Docker(PROJECT), ImageSource.of(PROJECT), uv=uv(), watch=note, tag=image, base_image=base_image)
    print_json({"image": tag or CPU_IMAGE}) if json else print(tag or CPU_IMAGE)
    note(f"`./inv compose.up --cpu` uses it with TRITON_IMAGE={tag or CPU_IMAGE}.")


def _service(cpu: bool, name: str | None) -> Service:
    from tritonops.compose.commands import SERVICE
    from tritonops.compose.service import Service

    return Service.of(project(), cpu=cpu, name=name or SERVICE)


def _up(
    service: Service,
    timeout: float | None,
    model_timeout: float | None,
    *,
    json: bool,
    recreate: bool = False,
    build: bool = False,
) -> None:
    from tritonops.compose import service as compose
    from tritonops.triton.startup.served import raise_unserved

    with waiting("Triton starts in its container", quiet=json) as shown:
        served = compose.up(
            service,
            watch=functools.partial(_watch, shown),
            timeout=compose.UP_TIMEOUT if timeout is None else timeout,
            model_timeout=model_timeout,
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


def _watch(shown: Waiting, line: str) -> None:
    """Show a line for good, but one about a layer of an image only for now, at a terminal."""
    if sys.stderr.isatty() and re.match(r"\s*[0-9a-f]{12}[: ]", line):
        shown.set("image", line.strip())
    else:
        note(line)


def _line(line: str) -> None:
    print(line, flush=True)
