"""Control of a running Triton over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from invoke import Context

from tasks.shared.checkout import project
from tasks.shared.hosts import run_there
from tasks.shared.options import file_path, integer, names, seconds
from tasks.shared.task import task
from tasks.shared.terminal import confirm, note, print_json, print_table
from tasks.shared.triton_output import show_answer, show_models, show_outcome, show_plan, show_result
from tritonops.errors import InputError
from tritonops.settings import parse_address

if TYPE_CHECKING:
    from tritonops.triton.client.client import TritonClient
    from tritonops.triton.load_result import LoadResult
    from tritonops.triton.served_folder import ServedFolder

MODEL = {"model": "The model's name."}
VERSION = {"version": "One version of it; Triton chooses otherwise."}
URL = {
    "url": "gRPC address of the server, host:port; TRITON_URL otherwise.",
    "host": "The Triton of this host, over SSH: an alias of ssh_config, or a host name.",
}
JSON = {"json": "Print one JSON document."}
TIMEOUT = {"timeout": "Seconds that it may take; 600 otherwise."}
YES = {"yes": "Do not ask."}
PLAN = {
    "include": "Only this model; several times, or as a comma-separated list.",
    "cpu": "The CPU configs; otherwise one that is right for either stays, and any other becomes the GPU one.",
    "prune": "What models.toml does not have goes out of service, and to the disabled models.",
}


@task(name="list", help=URL | JSON)
def list_(
    c: Context,
    url: str | None = None,
    host: str | None = None,
    json: bool = False,
) -> None:
    """List the models of the server: each version, its state, and the reason."""
    from tritonops.triton.list import list_models

    with _connect(url, host) as client:
        show_models(list_models(client), json=json)


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
    host: str | None = None,
    json: bool = False,
) -> None:
    """Serve a model as it is on disk, and check that the server does."""
    if host and version:
        run_there(host, "triton.load", model, version=version, timeout=timeout, json=json)
        return
    from tritonops.triton.load import LOAD_TIMEOUT, load_model

    number, within = integer("--version", version, at_least=1), _timeout(timeout, LOAD_TIMEOUT)
    with _connect(url, host) as client:
        if number:
            from tritonops.triton.serve import load_version

            outcome = load_version(client, model, number, disk=_own_disk(client), timeout=within)
        else:
            outcome = load_model(client, model, disk=_disk(client), timeout=within)
        outcome = _smoke_tested(client, outcome)
    show_outcome(outcome, json=json)


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
    host: str | None = None,
    json: bool = False,
) -> None:
    """Take a model out of service, and wait until it is; requests under way are answered first."""
    if host and version:
        run_there(host, "triton.unload", model, version=version, all=all, yes=yes, timeout=timeout, json=json)
        return
    from tritonops.triton.list import require_known
    from tritonops.triton.load import LOAD_TIMEOUT
    from tritonops.triton.serve import unload_version
    from tritonops.triton.unload import unload_model

    number, within = integer("--version", version, at_least=1), _timeout(timeout, LOAD_TIMEOUT)
    with _connect(url, host) as client:
        require_known(client, model)
        what = f"version {number} of {model}" if number and not all else model
        if not confirm(f"Take {what} out of service on {client.url}?", yes=yes):
            return
        if number and not all:
            outcome = unload_version(client, model, number, disk=_own_disk(client), timeout=within)
        else:
            outcome = unload_model(client, model, disk=_disk(client), timeout=within)
        outcome = _smoke_tested(client, outcome)
    show_outcome(outcome, json=json)


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
    host: str | None = None,
    json: bool = False,
) -> None:
    """Choose the versions of a model that are served, in its config on disk, without a pause."""
    if host:
        run_there(host, "triton.serve", model, versions=versions, timeout=timeout, json=json)
        return
    from tritonops.models.configs.version_policy import VersionPolicy
    from tritonops.triton.load import LOAD_TIMEOUT
    from tritonops.triton.serve import serve

    policy = VersionPolicy.parse(versions or "")
    with _connect(url, host) as client:
        outcome = serve(client, model, policy, disk=_own_disk(client), timeout=_timeout(timeout, LOAD_TIMEOUT))
        outcome = _smoke_tested(client, outcome)
    show_outcome(outcome, json=json)


@task(help=MODEL | VERSION | URL | {"json": "JSON is what it prints anyway."}, positional=["model"])
def config(
    c: Context,
    model: str,
    version: str | None = None,
    url: str | None = None,
    host: str | None = None,
    json: bool = False,
) -> None:
    """Print the configuration that the server serves a model with, as JSON."""
    from tritonops.triton.client.model_config import as_dict
    from tritonops.triton.list import naming_unknown

    with _connect(url, host) as client, naming_unknown(client, model):
        print_json(as_dict(client.config(model, version=integer("--version", version, at_least=1))))


@task(help={"wait": "Wait up to this many seconds for it."} | URL | JSON)
def ready(
    c: Context,
    wait: str | None = None,
    url: str | None = None,
    host: str | None = None,
    json: bool = False,
) -> None:
    """Ask whether the server is ready: exit 0 if it is, 1 if it is not, 3 if nobody answers."""
    from tritonops.triton.client import waiting

    with _connect(url, host) as client:
        if timeout := seconds("--wait", wait):
            waiting.wait_until_ready(client, timeout=timeout)
        else:
            waiting.require_ready(client)
        print_json({"ready": True}) if json else print(f"Triton at {client.url} is ready.")


@task(help={"model": "Only this model; may be left out."} | URL | JSON)
def stats(
    c: Context,
    model: str | None = None,
    url: str | None = None,
    host: str | None = None,
    json: bool = False,
) -> None:
    """Count the inferences of each loaded model, with average times in milliseconds."""
    from dataclasses import fields

    from tritonops.triton.client.api_types import ModelStatistics
    from tritonops.triton.list import naming_unknown

    with _connect(url, host) as client, naming_unknown(client, model or ""):
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
    | {"top": "Only the N largest values of each output, with their labels."}
    | {"max-responses": "Stop after N responses of a decoupled model (default: 100)."}
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
    top: str | None = None,
    max_responses: str | None = None,
    url: str | None = None,
    host: str | None = None,
    json: bool = False,
) -> None:
    """Ask a model and print its outputs."""
    from tritonops.triton.infer import INFER_TIMEOUT, MAX_RESPONSES, infer

    with _connect(url, host) as client:
        answer = infer(
            client,
            model,
            version=integer("--version", version, at_least=1),
            inputs=file_path("--input", input),
            timeout=_timeout(timeout, INFER_TIMEOUT),
            max_responses=integer("--max-responses", max_responses, at_least=1) or MAX_RESPONSES,
            top=integer("--top", top, at_least=1),
        )
    show_answer(model, answer, json=json)


@task(help=PLAN | URL | JSON, iterable=["include"])
def plan(
    c: Context,
    include: list[str],
    cpu: bool = False,
    prune: bool = False,
    url: str | None = None,
    host: str | None = None,
    json: bool = False,
) -> None:
    """Compare models.toml, the disk and the server: exit 4 if anything is to be done."""
    if host:
        run_there(host, "triton.plan", include=include, cpu=cpu, prune=prune, json=json)
        return
    from tritonops.triton.plan.make_plan import make_plan
    from tritonops.triton.plan.plan import raise_if_different

    with _connect(url, host) as client:
        made = make_plan(project(), client, include=names(include), variant="cpu" if cpu else None, prune=prune)
    show_plan(made, json=json)
    raise_if_different(made)


@task(
    help=PLAN | {"timeout": "Seconds that one load may take; 600 otherwise."} | YES | URL | JSON, iterable=["include"]
)
def apply(
    c: Context,
    include: list[str],
    cpu: bool = False,
    prune: bool = False,
    yes: bool = False,
    timeout: str | None = None,
    url: str | None = None,
    host: str | None = None,
    json: bool = False,
) -> None:
    """Make the disk and the server what models.toml says; what is so already is left alone."""
    if host:
        run_there(host, "triton.apply", include=include, cpu=cpu, prune=prune, yes=yes, timeout=timeout, json=json)
        return
    from tasks.shared.progress import download_progress
    from tritonops.triton.apply import apply, raise_unless_applied
    from tritonops.triton.load import LOAD_TIMEOUT
    from tritonops.triton.plan.make_plan import make_plan

    within = _timeout(timeout, LOAD_TIMEOUT)
    with _connect(url, host) as client:
        made = make_plan(project(), client, include=names(include), variant="cpu" if cpu else None, prune=prune)
        if made.pruned and not confirm(f"Take out of service: {', '.join(made.pruned)}?", yes=yes):
            return
        with download_progress(quiet=json) as progress:
            on_step = _silent if json else note
            result = apply(project(), client, made, timeout=within, on_step=on_step, progress=progress)
    show_result(result, json=json)
    raise_unless_applied(result)


@task(
    help={"model": "Only this model; several times, or as a comma-separated list."} | URL | JSON,
    iterable=["model"],
)
def smoke(
    c: Context,
    model: list[str],
    url: str | None = None,
    host: str | None = None,
    json: bool = False,
) -> None:
    """Run the smoke tests of triton-config/<model>/smoke.json."""
    from tritonops.triton.smoke import find_smoke_tests, raise_if_failed, run_smoke_tests

    tests = find_smoke_tests(project().settings.config_dir, names(model))
    with _connect(url, host) as client:
        results = run_smoke_tests(client, tests)
    if json:
        print_json(results)
    elif not results:
        note(f"{project().settings.config_dir} has no smoke tests")
    else:
        rows = [(result.model, "no" if result.problems else "yes", result.seconds) for result in results]
        print_table(["model", "passed", "seconds"], rows)
    raise_if_failed(results)


def _connect(url: str | None, host: str | None) -> AbstractContextManager[TritonClient]:
    from tritonops.triton.client.client import connect

    if host:
        return _tunnelled(host, url)
    try:
        return connect(
            parse_address(url) if url else project().settings.triton_url, token=project().settings.triton_token
        )
    except ValueError as exc:
        raise InputError(f"--url {url}: {exc}") from exc


@contextmanager
def _tunnelled(name: str, url: str | None) -> Iterator[TritonClient]:
    from tritonops.remote.client.endpoint import remote_client
    from tritonops.remote.ssh.host import Host

    if url:
        raise InputError("--url and --host: want one of them", hint="A host's own env file says where it listens.")
    with (
        Host.of(name, project().settings) as host,
        remote_client(host) as client,
    ):
        yield client


def _disk(client: TritonClient) -> ServedFolder | None:
    """The models directory, where the server can be the one that reads it: on this machine."""
    from tritonops.models.dependents import declared_callers
    from tritonops.models.disk.misplaced import refuse_misplaced
    from tritonops.triton.served_folder import ServedFolder

    host = client.url.rpartition(":")[0]
    if host not in _THIS_MACHINE:
        return None
    refuse_misplaced(project().settings.models_dir)
    return ServedFolder.of(
        project().settings.models_dir, client.url, callers=declared_callers(project().settings.models_toml)
    )


def _own_disk(client: TritonClient) -> ServedFolder:
    if disk := _disk(client):
        return disk
    raise InputError(
        f"{client.url} is not on this machine, and versions are chosen in config.pbtxt on the server's own disk",
        hint="Run it there: inv remote.run --host HOST",
    )


def _smoke_tested(client: TritonClient, outcome: LoadResult) -> LoadResult:
    from tritonops.triton.smoke_after_load import smoke_tested

    return smoke_tested(client, outcome, project().settings.config_dir)


_THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")


def _timeout(value: str | None, default: float) -> float:
    given = seconds("--timeout", value)
    return default if given is None else given


def _silent(message: str) -> None:
    """With --json, stderr is for warnings."""
