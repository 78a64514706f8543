"""Tasks of the collection `triton` that ask models."""

from __future__ import annotations

from invoke import Context

from tasks.output.terminal import note, print_json, print_table
from tasks.output.triton_output import show_answer
from tasks.shared.checkout import project
from tasks.shared.options import JSON, file_path, integer, names
from tasks.shared.server import (
    SERVER,
    connect,
    timeout_of,
)
from tasks.shared.task import task
from tritonops.errors import InputError

MODEL = {"model": "Name of the model."}
VERSION = {"version": "Version of the model (default: the one that Triton chooses)."}


@task(
    help=MODEL
    | VERSION
    | {"input": "A .json or .npz file of inputs by name (default: zeros)."}
    | {"shape": "Sizes of an input that gets zeros, with the batch: x=1,512 (names: triton.config). Repeatable."}
    | {"timeout": "Timeout in seconds (default: 60)."}
    | {"top": "Show only the N largest values of each output, with labels."}
    | {"max-responses": "Stop after N responses of a decoupled model (default: 100)."}
    | SERVER
    | JSON,
    positional=["model"],
    iterable=["shape"],
    read_only=True,
)
def infer(
    c: Context,
    model: str,
    shape: list[str],
    version: str | None = None,
    input: str | None = None,
    timeout: str | None = None,
    top: str | None = None,
    max_responses: str | None = None,
    url: str | None = None,
    host: str | None = None,
    target: str | None = None,
    json: bool = False,
) -> None:
    """Run an inference."""
    from tritonops.triton.infer import INFER_TIMEOUT, MAX_RESPONSES, infer
    from tritonops.triton.inputs.zeros import parse_shapes

    if shape and input:
        raise InputError("--shape and --input: give one of them", hint="A file's values have shapes of their own.")
    shapes = parse_shapes(shape)
    with connect(url, host, target) as client:
        answer = infer(
            client,
            model,
            version=integer("--version", version, at_least=1),
            inputs=file_path("--input", input),
            shapes=shapes,
            on_zeros=lambda zeros: note(f"no --input: sending {zeros}"),
            timeout=timeout_of(timeout, INFER_TIMEOUT),
            max_responses=integer("--max-responses", max_responses, at_least=1) or MAX_RESPONSES,
            top=integer("--top", top, at_least=1),
        )
    show_answer(model, answer, json=json)


@task(
    help={"model": "Only this model. Repeatable, or comma-separated."} | SERVER | JSON,
    iterable=["model"],
    words="model",
    read_only=True,
)
def smoke(
    c: Context,
    model: list[str],
    url: str | None = None,
    host: str | None = None,
    target: str | None = None,
    json: bool = False,
) -> None:
    """Run smoke tests of models."""
    from tritonops.triton.smoke import find_smoke_tests, raise_if_failed, run_smoke_tests

    tests = find_smoke_tests(project().settings.config_dir, names(model))
    with connect(url, host, target) as client:
        results = run_smoke_tests(client, tests)
    if json:
        print_json(results)
    elif not results:
        note(f"{project().settings.config_dir} has no smoke tests")
    else:
        rows = [(result.model, "no" if result.problems else "yes", result.seconds) for result in results]
        print_table(["model", "passed", "seconds"], rows)
    raise_if_failed(results)
