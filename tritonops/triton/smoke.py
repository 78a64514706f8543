"""Smoke tests: triton-config/<model>/smoke.json says what a model answers to which inputs.

Its keys:

- `inputs`: values by name, or a .json or .npz file beside it; zeros where left out
- `outputs`: expected values by name
- `shapes`: expected shapes by name
- `tolerance`: by which a number may differ, absolutely and relatively (default: 1e-5)
- `responses`: how many responses a decoupled model sends; the first one is compared
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tritonops.display_text import clip
from tritonops.documents import abbreviate, read_json
from tritonops.errors import InputError, PartialFailureError, TritonOpsError
from tritonops.triton.client.api_types import ModelMetadata
from tritonops.triton.client.client import TritonClient
from tritonops.triton.client.response import InferenceResult, OutputTensor
from tritonops.triton.infer import (
    INFER_TIMEOUT,
    as_array,
    as_tensors,
    infer_tensors,
    read_input_file,
    read_inputs,
    zeros,
)

if TYPE_CHECKING:
    pass


SMOKE_NAME = "smoke.json"
_KEYS = {"inputs": (dict, str), "outputs": (dict,), "shapes": (dict,), "tolerance": (int, float), "responses": (int,)}
_ENOUGH = 10_000
"""Responses of a decoupled model; one that sends more is not waited for."""


@dataclass(frozen=True)
class SmokeTest:
    """A smoke.json, checked."""

    path: Path
    inputs: Mapping[str, Any] | str | None
    outputs: Mapping[str, Any]
    shapes: Mapping[str, Sequence[int]]
    tolerance: float
    responses: int | None = None
    """How many a decoupled model sends; None does not look."""


@dataclass(frozen=True)
class SmokeResult:
    """What a model answered: nothing in `problems` if it was what was expected."""

    model: str
    problems: tuple[str, ...]
    seconds: float


def find_smoke_tests(config_dir: Path, include: Sequence[str] = ()) -> dict[str, Path]:
    """Find the smoke tests of the models in `include`, or of all; an InputError names a model that has none."""
    found = {path.parent.name: path for path in sorted(config_dir.glob(f"*/{SMOKE_NAME}"))}
    for name in include:
        if name not in found:
            raise InputError(f"{name} has no smoke test: there is no {config_dir / name / SMOKE_NAME}")
    return {name: path for name, path in found.items() if not include or name in include}


def run_smoke_tests(
    client: TritonClient, tests: Mapping[str, Path], *, timeout: float = INFER_TIMEOUT
) -> list[SmokeResult]:
    """Ask each model once, in the version that Triton chooses; whatever goes wrong is a problem of that model."""
    return [run_smoke_test(client, name, path, timeout=timeout) for name, path in tests.items()]


def run_smoke_test(client: TritonClient, name: str, path: Path, *, timeout: float = INFER_TIMEOUT) -> SmokeResult:
    """Ask a model what its smoke.json asks, and compare."""
    started = time.monotonic()
    try:
        test = read_smoke_test(path)
        metadata = client.metadata(name)
        answer = infer_tensors(client, metadata, _inputs(test, metadata), timeout=timeout, max_responses=_ENOUGH)
        first = answer.responses[0] if answer.responses else ()
        problems = (*_wrong_count(test, answer), *_problems(test, {output.name: output for output in first}))
    except TritonOpsError as exc:
        problems = (str(exc),)
    return SmokeResult(name, problems, round(time.monotonic() - started, 3))


def raise_if_failed(results: Sequence[SmokeResult]) -> None:
    """Raise PartialFailureError with the problems of every model that answered wrong, or not at all."""
    failures = {result.model: "; ".join(result.problems) for result in results if result.problems}
    if failures:
        raise PartialFailureError(f"{len(failures)} of {len(results)} smoke tests failed", failures)


def check_smoke_tests(tests: Mapping[str, Path]) -> None:
    """Read smoke tests, and the files that they name, without a server. Raises PartialFailureError that names each."""
    failures: dict[str, str] = {}
    for name, path in tests.items():
        try:
            inputs = read_smoke_test(path).inputs
            if isinstance(inputs, str):
                read_input_file(path.parent / inputs)
        except TritonOpsError as exc:
            failures[name] = str(exc)
    if failures:
        raise PartialFailureError("smoke tests that cannot be run", failures)


def read_smoke_test(path: Path) -> SmokeTest:
    """Read a smoke.json. Raises InputError, which names the file and the key."""
    values = read_json(path)
    if not isinstance(values, dict):
        raise InputError(f"{path}: want an object with some of the keys {', '.join(_KEYS)}")
    for key, value in values.items():
        if key not in _KEYS:
            raise InputError(f"{path}: unknown key {abbreviate(key)}", hint=f"It may have: {', '.join(_KEYS)}.")
        if not isinstance(value, _KEYS[key]) or isinstance(value, bool):
            raise InputError(f"{path}: {key}: {abbreviate(value)} will not do")
    for name, shape in values.get("shapes", {}).items():
        if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
            raise InputError(f"{path}: shapes: {abbreviate(name)}: expected a list of sizes, not {abbreviate(shape)}")
    if not values.get("outputs") and not values.get("shapes"):
        raise InputError(f"{path}: expects nothing; give outputs or shapes")
    return SmokeTest(
        path,
        values.get("inputs"),
        values.get("outputs", {}),
        values.get("shapes", {}),
        _tolerance(path, values.get("tolerance", 1e-5)),
        values.get("responses"),
    )


def _tolerance(path: Path, value: float) -> float:
    """An infinite tolerance would pass everything."""
    if not 0 <= value < 1e300:
        raise InputError(f"{path}: tolerance: expected a number of at least 0, not {abbreviate(value)}")
    return float(value)


def _inputs(test: SmokeTest, metadata: ModelMetadata) -> dict[str, Any]:
    if test.inputs is None:
        return zeros(metadata)
    if isinstance(test.inputs, str):
        return read_inputs(test.path.parent / test.inputs, metadata)
    return as_tensors(test.inputs, metadata, where=str(test.path))


def _wrong_count(test: SmokeTest, answer: InferenceResult) -> Iterator[str]:
    count = len(answer.responses)
    if test.responses not in (None, count):
        yield f"sent {count} responses, expected {test.responses}"


def _problems(test: SmokeTest, outputs: Mapping[str, OutputTensor]) -> Iterator[str]:
    for name in {**test.outputs, **test.shapes}:
        if name not in outputs:
            yield f"there is no output {name}; there are: {', '.join(outputs)}"
    for name, shape in test.shapes.items():
        if name in outputs and list(outputs[name].array.shape) != list(shape):
            yield f"{name} has the shape {list(outputs[name].array.shape)}, expected {list(shape)}"
    for name, expected in test.outputs.items():
        if name in outputs and (problem := _mismatch(outputs[name], expected, test.tolerance)):
            yield f"{name}{problem}"


def _mismatch(output: OutputTensor, expected: object, tolerance: float) -> str | None:
    """Find the first value that is not the expected one."""
    import numpy as np

    try:
        wanted = as_array(expected, output.datatype)
    except (ValueError, TypeError, OverflowError, RecursionError) as exc:
        return f": the expected values are no {output.datatype}: {clip(str(exc), 300)}"
    if wanted.shape != output.array.shape:
        return f" has the shape {list(output.array.shape)}, expected {list(wanted.shape)}"
    if output.datatype == "BYTES":
        same = output.array == wanted
    else:
        got, want = (array.astype("float64") for array in (output.array, wanted))
        same = np.isclose(got, want, rtol=tolerance, atol=tolerance, equal_nan=True)
    if np.all(same):
        return None
    where = tuple(np.argwhere(~np.asarray(same))[0])
    place = ", ".join(map(str, where))
    count = int(np.size(same) - np.count_nonzero(same))
    return f"[{place}] is {output.array[where]}, expected {wanted[where]}; {count} of {np.size(same)} values differ"
