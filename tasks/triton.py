"""Control of a running Triton over gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from invoke import Context

from tasks.cli import integer, names, seconds, settings, task
from tasks.terminal import confirm, note, print_json, print_table
from tritonops.errors import InputError
from tritonops.settings import parse_address

if TYPE_CHECKING:
    from tritonops.triton.client import ModelStatus, TritonClient
    from tritonops.triton.control import Outcome
    from tritonops.triton.disk import Disk
    from tritonops.triton.infer import Output

MODEL = {"model": "The model's name."}
VERSION = {"version": "One version of it; Triton chooses otherwise."}
URL = {"url": "gRPC address of the server, host:port; TRITON_URL otherwise."}
JSON = {"json": "Print one JSON document."}
TIMEOUT = {"timeout": "Seconds that it may take; 600 otherwise."}
YES = {"yes": "Do not ask."}


@task(name="list", help=URL | JSON)
def list_(c: Context, url: str | None = None, json: bool = False) -> None:
    """List the models of the server: each version, its state, and the reason."""
    from tritonops.triton.control import list_models

    with _connect(url) as client:
        _show_models(list_models(client), json=json)


@task(
    help=MODEL | {"version": "Only this version, beside those that are served."} | TIMEOUT | URL | JSON,
    positional=["model"],
)
def load(
    c: Context,
    model: str,
    version: str | None = None,
    timeout: str | None = None,
    url: str | None = None,
    json: bool = False,
) -> None:
    """Serve a model as it is on disk, and check that the server does."""
    from tritonops.triton import control, versions

    number, within = integer("--version", version, at_least=1), _timeout(timeout, control.LOAD_TIMEOUT)
    with _connect(url) as client:
        if number:
            outcome = versions.load_version(client, model, number, disk=_own_disk(client), timeout=within)
        else:
            outcome = control.load(client, model, disk=_disk(client), timeout=within)
    _show_outcome(outcome, json=json)


@task(
    help=MODEL
    | {"version": "Only this version; the others go on answering."}
    | {"all": "The whole model, also where that version is its last."}
    | YES
    | TIMEOUT
    | URL
    | JSON,
    positional=["model"],
)
def unload(
    c: Context,
    model: str,
    version: str | None = None,
    all: bool = False,
    yes: bool = False,
    timeout: str | None = None,
    url: str | None = None,
    json: bool = False,
) -> None:
    """Take a model out of service, and wait until it is; requests under way are answered first."""
    from tritonops.triton import control, versions

    number, within = integer("--version", version, at_least=1), _timeout(timeout, control.LOAD_TIMEOUT)
    with _connect(url) as client:
        control.require_known(client, model)
        what = f"version {number} of {model}" if number and not all else model
        if not confirm(f"Take {what} out of service on {client.url}?", yes=yes):
            return
        if number and not all:
            outcome = versions.unload_version(client, model, number, disk=_own_disk(client), timeout=within)
        else:
            outcome = control.unload(client, model, disk=_disk(client), timeout=within)
    _show_outcome(outcome, json=json)


@task(
    help=MODEL | {"versions": "`2,3`, `latest:2` or `all`."} | TIMEOUT | URL | JSON,
    positional=["model"],
)
def serve(
    c: Context,
    model: str,
    versions: str | None = None,
    timeout: str | None = None,
    url: str | None = None,
    json: bool = False,
) -> None:
    """Choose the versions of a model that are served, in its config on disk, without a pause."""
    from tritonops.models.pbtxt import VersionPolicy
    from tritonops.triton.control import LOAD_TIMEOUT
    from tritonops.triton.versions import serve

    policy = VersionPolicy.parse(versions or "")
    with _connect(url) as client:
        outcome = serve(client, model, policy, disk=_own_disk(client), timeout=_timeout(timeout, LOAD_TIMEOUT))
    _show_outcome(outcome, json=json)


@task(help=MODEL | VERSION | URL | {"json": "JSON is what it prints anyway."}, positional=["model"])
def config(c: Context, model: str, version: str | None = None, url: str | None = None, json: bool = False) -> None:
    """Print the configuration that the server serves a model with, as JSON."""
    from tritonops.triton.model_config import as_dict

    with _connect(url) as client:
        print_json(as_dict(client.config(model, version=integer("--version", version, at_least=1))))


@task(help={"wait": "Wait up to this many seconds for it."} | URL | JSON)
def ready(c: Context, wait: str | None = None, url: str | None = None, json: bool = False) -> None:
    """Ask whether the server is ready: exit 0 if it is, 1 if it is not, 3 if nobody answers."""
    from tritonops.triton import waiting

    with _connect(url) as client:
        if timeout := seconds("--wait", wait):
            waiting.wait_until_ready(client, timeout=timeout)
        else:
            waiting.require_ready(client)
        print_json({"ready": True}) if json else print(f"Triton at {client.url} is ready.")


@task(help={"model": "Only this model; may be left out."} | URL | JSON)
def stats(c: Context, model: str | None = None, url: str | None = None, json: bool = False) -> None:
    """Count the inferences of each loaded model, with average times in milliseconds."""
    from dataclasses import fields

    from tritonops.triton.client import ModelStatistics

    with _connect(url) as client:
        rows = client.statistics(model)
    if json:
        print_json(rows)
    else:
        columns = [field.name for field in fields(ModelStatistics)]
        print_table(columns, [[getattr(row, column) for column in columns] for row in rows])


@task(
    help=MODEL
    | VERSION
    | {"input": "A .json or .npz file of input names and values; zeros otherwise."}
    | {"timeout": "Seconds that it may take; 60 otherwise."}
    | URL
    | JSON,
    positional=["model"],
)
def infer(
    c: Context,
    model: str,
    version: str | None = None,
    input: str | None = None,
    timeout: str | None = None,
    url: str | None = None,
    json: bool = False,
) -> None:
    """Ask a model and print its outputs."""
    from tritonops.triton.infer import INFER_TIMEOUT, infer

    with _connect(url) as client:
        outputs = infer(
            client,
            model,
            version=integer("--version", version, at_least=1),
            inputs=Path(input) if input else None,
            timeout=_timeout(timeout, INFER_TIMEOUT),
        )
    _show_outputs(model, outputs, json=json)


@task(
    help={"model": "Only this model; several times, or as a comma-separated list."} | URL | JSON,
    iterable=["model"],
)
def smoke(c: Context, model: list[str], url: str | None = None, json: bool = False) -> None:
    """Run the smoke tests of triton-config/<model>/smoke.json."""
    from tritonops.triton.smoke import find_smoke_tests, raise_if_failed, run_smoke_tests

    tests = find_smoke_tests(settings().config_dir, names(model))
    with _connect(url) as client:
        results = run_smoke_tests(client, tests)
    if json:
        print_json(results)
    else:
        rows = [(result.model, "no" if result.problems else "yes", result.seconds) for result in results]
        print_table(["model", "passed", "seconds"], rows)
    raise_if_failed(results)


def _connect(url: str | None) -> AbstractContextManager[TritonClient]:
    from tritonops.triton.client import connect

    try:
        return connect(parse_address(url) if url else settings().triton_url, token=settings().triton_token)
    except ValueError as exc:
        raise InputError(f"--url {url}: {exc}") from exc


def _disk(client: TritonClient) -> Disk | None:
    """The models directory, where the server can be the one that reads it: on this machine."""
    from tritonops.triton.disk import Disk

    host = client.url.rpartition(":")[0]
    return Disk.of(settings().models_dir, client.url) if host in _THIS_MACHINE else None


def _own_disk(client: TritonClient) -> Disk:
    if disk := _disk(client):
        return disk
    raise InputError(
        f"{client.url} is not on this machine, and versions are chosen in config.pbtxt on the server's own disk",
        hint="Run it there: inv remote.run --host HOST",
    )


_THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


def _timeout(value: str | None, default: float) -> float:
    given = seconds("--timeout", value)
    return default if given is None else given


def _show_outcome(outcome: Outcome, *, json: bool) -> None:
    if json:
        print_json(outcome)
        return
    note(f"{outcome.model}: {_VERDICTS[outcome.verdict]}")
    _show_models(outcome.versions, json=False)


_VERDICTS = {
    "loaded": "loaded",
    "current": "served already, from the files that are there",
    "unloaded": "unloaded",
    "not loaded": "was not loaded",
}


def _show_models(rows: Sequence[ModelStatus], *, json: bool) -> None:
    if json:
        print_json(rows)
    else:
        print_table(["model", "version", "state", "reason"], [[r.name, r.version, r.state, r.reason] for r in rows])


def _show_outputs(model: str, outputs: list[Output], *, json: bool) -> None:
    if json:
        print_json({"model": model, "outputs": [output.as_json() for output in outputs]})
        return
    for output in outputs:
        print(f"{output.name} {output.datatype} {list(output.array.shape)}")
        print(output.array)
