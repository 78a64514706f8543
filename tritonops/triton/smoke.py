"""Smoke tests: triton-config/<model>/smoke.json has inputs of a model and the expected outputs.

Its keys:

- `inputs`: values by name, or a .json or .npz file in the same folder (default: zeros)
- `outputs`: expected values by name
- `shapes`: expected shapes by name
- `tolerance`: the allowed difference, absolute and relative, of all outputs (default: by their type)
- `responses`: the number of responses of a decoupled model, of which the first is compared
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
from tritonops.triton.infer import INFER_TIMEOUT, infer_tensors
from tritonops.triton.inputs.arrays import as_array, scalar_as_declared
from tritonops.triton.inputs.input_files import as_tensors, read_input_file, read_inputs
from tritonops.triton.inputs.zeros import zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMOKE_NAME = "smoke.json"
_KEYS = {"inputs": (dict, str), "outputs": (dict,), "shapes": (dict,), "tolerance": (int, float), "responses": (int,)}
_TOLERANCES = {"FP64": (1e-5, 1e-5), "FP32": (1e-5, 1e-5), "FP16": (1e-3, 4e-3), "BF16": (8e-3, 3e-2)}
"""The default absolute and relative difference; all other types have to be equal.

FP16 and BF16 may differ by their epsilon (2**-10 and 2**-7), and by four times that of a value's size.
"""
_MOST_RESPONSES = 10_000
"""The most responses of a decoupled model that are read."""


@dataclass(frozen=True)
class SmokeTest:
    """A checked smoke.json."""

    path: Path
    inputs: Mapping[str, Any] | str | None
    outputs: Mapping[str, Any]
    shapes: Mapping[str, Sequence[int]]
    tolerance: float | None
    """The allowed difference; None for the default of each output's type."""
    responses: int | None = None
    """The expected number of a decoupled model; None for any."""


@dataclass(frozen=True)
class SmokeResult:
    """The result of one smoke test; without `problems`, it passed."""

    model: str
    problems: tuple[str, ...]
    seconds: float


def find_smoke_tests(config_dir: Path, include: Sequence[str] = ()) -> dict[str, Path]:
    """Find the smoke tests of the models in `include`, or of all. Raises InputError for a model without one."""
    found = {path.parent.name: path for path in sorted(config_dir.glob(f"*/{SMOKE_NAME}"))}
    for name in include:
        if name not in found:
            raise InputError(f"{name} has no smoke test: there is no {config_dir / name / SMOKE_NAME}")
    return {name: path for name, path in found.items() if not include or name in include}


def run_smoke_tests(
    client: TritonClient, tests: Mapping[str, Path], *, timeout: float = INFER_TIMEOUT
) -> list[SmokeResult]:
    """Test each model once, in the version that Triton chooses."""
    return [run_smoke_test(client, name, path, timeout=timeout) for name, path in tests.items()]


def run_smoke_test(client: TritonClient, name: str, path: Path, *, timeout: float = INFER_TIMEOUT) -> SmokeResult:
    """Run a model's smoke.json, and compare the outputs."""
    started = time.monotonic()
    try:
        test = read_smoke_test(path)
        metadata = client.metadata(name)
        result = infer_tensors(
            client, metadata, _inputs(test, metadata), timeout=timeout, max_responses=_MOST_RESPONSES
        )
        first = result.responses[0] if result.responses else ()
        problems = (*_wrong_count(test, result), *_problems(test, metadata, {output.name: output for output in first}))
    except TritonOpsError as exc:
        problems = (str(exc),)
    return SmokeResult(name, problems, round(time.monotonic() - started, 3))


def raise_if_failed(results: Sequence[SmokeResult]) -> None:
    """Raise PartialFailureError with the problems of every model whose test failed."""
    failures = {result.model: "; ".join(result.problems) for result in results if result.problems}
    if failures:
        raise PartialFailureError(f"{len(failures)} of {len(results)} smoke tests failed", failures)


def check_smoke_tests(tests: Mapping[str, Path]) -> None:
    """Read smoke tests and their input files, without a server. Raises PartialFailureError."""
    failures: dict[str, str] = {}
    for name, path in tests.items():
        try:
            inputs = read_smoke_test(path).inputs
            if isinstance(inputs, str):
                read_input_file(path.parent / inputs)
        except TritonOpsError as exc:
            failures[name] = str(exc)
    if failures:
        raise PartialFailureError("invalid smoke tests", failures)


def read_smoke_test(path: Path) -> SmokeTest:
    """Read a smoke.json. Raises InputError that names the file and the key."""
    values = read_json(path)
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected an object with some of the keys {', '.join(_KEYS)}")
    for key, value in values.items():
        if key not in _KEYS:
            raise InputError(f"{path}: unknown key {abbreviate(key)}", hint=f"It may have: {', '.join(_KEYS)}.")
        if not isinstance(value, _KEYS[key]) or isinstance(value, bool):
            raise InputError(f"{path}: {key}: unexpected value {abbreviate(value)}")
    for name, shape in values.get("shapes", {}).items():
        if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
            raise InputError(f"{path}: shapes: {abbreviate(name)}: expected a list of sizes, not {abbreviate(shape)}")
    if not values.get("outputs") and not values.get("shapes"):
        raise InputError(f"{path}: expects nothing; add outputs or shapes")
    return SmokeTest(
        path,
        values.get("inputs"),
        values.get("outputs", {}),
        values.get("shapes", {}),
        _tolerance(path, values["tolerance"]) if "tolerance" in values else None,
        values.get("responses"),
    )


def _tolerance(path: Path, value: float) -> float:
    """Refuse an infinite tolerance, which would pass everything."""
    if not 0 <= value < 1e300:
        raise InputError(f"{path}: tolerance: expected a number of at least 0, not {abbreviate(value)}")
    return float(value)


def _inputs(test: SmokeTest, metadata: ModelMetadata) -> dict[str, Any]:
    if test.inputs is None:
        return zeros(metadata)
    if isinstance(test.inputs, str):
        return read_inputs(test.path.parent / test.inputs, metadata)
    return as_tensors(test.inputs, metadata, where=str(test.path))


def _wrong_count(test: SmokeTest, result: InferenceResult) -> Iterator[str]:
    count = len(result.responses)
    if test.responses not in (None, count):
        yield f"sent {count} responses, expected {test.responses}"


def _problems(test: SmokeTest, metadata: ModelMetadata, outputs: Mapping[str, OutputTensor]) -> Iterator[str]:
    declared = {spec.name: spec.shape for spec in metadata.outputs}
    for name in {**test.outputs, **test.shapes}:
        if name not in outputs:
            yield f"no output {name}; outputs: {', '.join(outputs)}"
    for name, shape in test.shapes.items():
        if name in outputs and list(outputs[name].array.shape) != list(shape):
            yield f"{name} has the shape {list(outputs[name].array.shape)}, expected {list(shape)}"
    for name, expected in test.outputs.items():
        if name in outputs and (problem := _mismatch(outputs[name], expected, declared[name], test.tolerance)):
            yield f"{name}{problem}"


def _mismatch(output: OutputTensor, expected: object, declared: Sequence[int], tolerance: float | None) -> str | None:
    """Describe the first value that is not the expected one; None if all are."""
    import numpy as np

    try:
        expected_array = scalar_as_declared(as_array(expected, output.datatype), declared)
    except (ValueError, TypeError, OverflowError, RecursionError) as exc:
        return f": the expected values are not {output.datatype}: {clip(str(exc), 300)}"
    if expected_array.shape != output.array.shape:
        return f" has the shape {list(output.array.shape)}, expected {list(expected_array.shape)}"
    same = _is_close(output, expected_array, tolerance)
    if np.all(same):
        return None
    where = tuple(np.argwhere(~same)[0])
    position = ", ".join(map(str, where))
    count = int(np.size(same) - np.count_nonzero(same))
    difference = f"{count} of {np.size(same)} values differ"
    return f"[{position}] is {output.array[where]}, expected {expected_array[where]}; {difference}"


def _is_close(output: OutputTensor, expected: NDArray[Any], tolerance: float | None) -> NDArray[Any]:
    import numpy as np

    allowed = (tolerance, tolerance) if tolerance is not None else _TOLERANCES.get(output.datatype)
    if output.datatype == "BYTES" or not allowed:
        return np.asarray(output.array == expected)
    actual, reference = (array.astype("float64") for array in (output.array, expected))
    return np.isclose(actual, reference, rtol=allowed[1], atol=allowed[0], equal_nan=True)
