"""Models of a running Triton server, over gRPC."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from invoke import Context

from tasks.inference import infer, smoke
from tasks.output.terminal import confirm, print_json, print_table
from tasks.output.triton_output import show_models, show_outcomes
from tasks.plans import apply, plan
from tasks.shared.checkout import project
from tasks.shared.each_model import for_each_model
from tasks.shared.options import JSON, YES, integer, names, seconds
from tasks.shared.server import (
    SERVER,
    TIMEOUT,
    connect,
    on_the_host,
    own_served_folder,
    served_folder,
    timeout_of,
)
from tasks.shared.task import task
from tritonops.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tritonops.triton.client.client import TritonClient
    from tritonops.triton.load import LoadResult

__all__ = ["apply", "infer", "plan", "smoke"]  # tasks of this collection, too

MODEL = {"model": "Name of the model."}
MODELS = {"model": "Name of a model. Repeatable, or comma-separated."}
VERSION = {"version": "Version of the model (default: the one that Triton chooses)."}


@task(name="list", help=SERVER | JSON, read_only=True)
def list_(
    c: Context,
    url: str | None = None,
    host: str | None = None,
    target: str | None = None,
    json: bool = False,
) -> None:
    """List model versions with state and reason.

    Models that are not loaded have no state. Exit code 3: no answer; 2: no host of the name in --host.
    """
    from tritonops.triton.list import list_models

    with connect(url, host, target) as client:
        show_models(list_models(client), json=json)


@task(
    help=MODELS | {"version": "Add only this version to those that are served."} | TIMEOUT | SERVER | JSON,
    iterable=["model"],
    words="model",
    needs_words=True,
)
@on_the_host("triton.load", when=lambda options: options["version"])
def load(
    c: Context,
    model: list[str],
    version: str | None = None,
    timeout: str | None = None,
    url: str | None = None,
    host: str | None = None,
    target: str | None = None,
    json: bool = False,
) -> None:
    """Load models, and verify that they are served."""
    from tritonops.triton.load import LOAD_TIMEOUT, load_model

    selected, within = names(model), timeout_of(timeout, LOAD_TIMEOUT)
    number = _version_of_one(selected, version)
    with connect(url, host, target) as client:

        def work(name: str) -> LoadResult:
            if number:
                from tritonops.triton.serve import load_version

                outcome = load_version(client, name, number, disk=own_served_folder(client), timeout=within)
            else:
                outcome = load_model(client, name, disk=served_folder(client), timeout=within)
            return _smoke_tested(client, outcome)

        for_each_model(selected, work, show=_shown(selected, json=json))


@task(
    help=MODELS
    | {"version": "Only this version; the others stay loaded."}
    | {"all": "Unload the whole model, even if the version is its last one."}
    | YES
    | TIMEOUT
    | SERVER
    | JSON,
    iterable=["model"],
    words="model",
    needs_words=True,
)
@on_the_host("triton.unload", when=lambda options: options["version"])
def unload(
    c: Context,
    model: list[str],
    version: str | None = None,
    all: bool = False,
    yes: bool = False,
    timeout: str | None = None,
    url: str | None = None,
    host: str | None = None,
    target: str | None = None,
    json: bool = False,
) -> None:
    """Unload models after their in-flight requests."""
    from tritonops.triton.list import require_known
    from tritonops.triton.load import LOAD_TIMEOUT
    from tritonops.triton.serve import unload_version
    from tritonops.triton.unload import unload_model

    selected, within = names(model), timeout_of(timeout, LOAD_TIMEOUT)
    number = None if all else _version_of_one(selected, version)
    with connect(url, host, target) as client:
        for name in selected:
            require_known(client, name)
        what = f"version {number} of {selected[0]}" if number else ", ".join(selected)
        confirm(f"Unload {what} on {client.url}?", yes=yes)

        def work(name: str) -> LoadResult:
            if number:
                outcome = unload_version(client, name, number, disk=own_served_folder(client), timeout=within)
            else:
                outcome = unload_model(client, name, disk=served_folder(client), timeout=within)
            return _smoke_tested(client, outcome)

        for_each_model(selected, work, show=_shown(selected, json=json))


@task(
    help=MODEL
    | {"versions": "`1`, `2,3`, `latest:1` (the newest alone), `latest:2` or `all`."}
    | TIMEOUT
    | SERVER
    | JSON,
    positional=["model"],
)
@on_the_host("triton.serve")
def serve(
    c: Context,
    model: str,
    versions: str | None = None,
    timeout: str | None = None,
    url: str | None = None,
    host: str | None = None,
    target: str | None = None,
    json: bool = False,
) -> None:
    """Choose the served versions of a model.

    The choice is kept in its config.pbtxt: restarts, `inv models.config` and deploys keep it.
    """
    from tritonops.models.configs.version_policy import VersionPolicy
    from tritonops.triton.load import LOAD_TIMEOUT
    from tritonops.triton.serve import serve

    if not versions:
        raise InputError("triton.serve needs --versions", hint="--versions 2,3, --versions latest:2 or --versions all")
    policy = VersionPolicy.parse(versions)
    with connect(url, host, target) as client:
        outcome = serve(
            client, model, policy, disk=own_served_folder(client), timeout=timeout_of(timeout, LOAD_TIMEOUT)
        )
        outcome = _smoke_tested(client, outcome)
    show_outcomes([outcome], json=json, as_list=False)


@task(
    help=MODEL | VERSION | SERVER | {"json": "Accepted for uniformity; the output is always JSON."},
    positional=["model"],
    read_only=True,
)
def config(
    c: Context,
    model: str,
    version: str | None = None,
    url: str | None = None,
    host: str | None = None,
    target: str | None = None,
    json: bool = False,
) -> None:
    """Print the served config of a model as JSON."""
    from tritonops.triton.client.model_config import as_dict
    from tritonops.triton.list import naming_unknown

    with connect(url, host, target) as client, naming_unknown(client, model):
        print_json(as_dict(client.config(model, version=integer("--version", version, at_least=1))))


@task(help={"wait": "Wait up to this many seconds."} | SERVER | JSON, read_only=True)
def ready(
    c: Context,
    wait: str | None = None,
    url: str | None = None,
    host: str | None = None,
    target: str | None = None,
    json: bool = False,
) -> None:
    """Check whether the server is ready."""
    from tritonops.triton.client import waiting

    with connect(url, host, target) as client:
        if timeout := seconds("--wait", wait):
            waiting.wait_until_ready(client, timeout=timeout)
        else:
            waiting.require_ready(client)
        print_json({"ready": True}) if json else print(f"Triton at {client.url} is ready.")


@task(
    help={"model": "Only this model (default: all). Repeatable, or comma-separated."} | SERVER | JSON,
    iterable=["model"],
    words="model",
    read_only=True,
)
def stats(
    c: Context,
    model: list[str],
    url: str | None = None,
    host: str | None = None,
    target: str | None = None,
    json: bool = False,
) -> None:
    """Show inference statistics of loaded models."""
    from dataclasses import fields

    from tritonops.triton.client.api_types import ModelStatistics
    from tritonops.triton.list import naming_unknown

    rows = list[ModelStatistics]()
    with connect(url, host, target) as client:
        for name in names(model) or [""]:
            with naming_unknown(client, name):
                rows += client.statistics(name)
    if json:
        print_json(rows)
    else:
        columns = [field.name for field in fields(ModelStatistics)]
        print_table(columns, [[getattr(row, column) for column in columns] for row in rows])


def _version_of_one(models: Sequence[str], version: str | None) -> int | None:
    number = integer("--version", version, at_least=1)
    if number and len(models) > 1:
        raise InputError("--version is for one model", hint=f"{len(models)} were given: {', '.join(models)}")
    return number


def _shown(models: Sequence[str], *, json: bool) -> Callable[[list[LoadResult]], None]:
    return functools.partial(show_outcomes, json=json, as_list=len(models) > 1)


def _smoke_tested(client: TritonClient, outcome: LoadResult) -> LoadResult:
    from tritonops.triton.smoke_after_load import smoke_tested

    return smoke_tested(client, outcome, project().settings.config_dir)
