"""Loads graphs on ONNX Runtime, each in a process of its own, and tries batches: a program, which imports no tritonops.

It reads one JSON request a line and answers each with one line: see `TrialRequest` and `Trial` of trial.py.
"""

from __future__ import annotations

import json
import math
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a thread would not survive the fork

import numpy as np
import onnxruntime

_FREE_SIZES = (4, 1, 16, 32, 48, 64, 128, 224, 256, 640)
"""For dimensions that vary and are not the batch: the first with which the graph runs."""
_MOST_ELEMENTS = 1 << 23
"""Of one made-up input."""
_SLOW = 5.0
"""Seconds for the first seed after which the others are tried in one split only."""
_GREATEST = (100, 2, 1)
"""For integers, which may be indices: the first with which the graph runs."""
_CHANNELS = ((0, 3), (2, 3), (0, 1), (2, 1))
"""For images whose every dimension varies: where the channels may be behind the batch, and how many."""
_SCALES = {1: 1.0, 2: 30.0, 3: 0.05}
"""By seed: what selects rows by value shows it at one of them."""


class RowsDiffer(Exception):
    """An output has another number of rows than the inputs, or the graph does not run with that number."""


class RowsDepend(Exception):
    """A row's output is another for a row in company."""


class NotTried(Exception):
    """The graph could not be run with made-up inputs."""


def main() -> None:
    """Answer requests until there are no more."""
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(in_process_of_its_own(request)), flush=True)


def in_process_of_its_own(request: dict[str, Any]) -> dict[str, Any]:
    """Try a graph in a child, which may hang, crash or run out of memory."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        with os.fdopen(writer, "w") as pipe:
            for answer in tried(request):
                print(json.dumps(answer), file=pipe, flush=True)
        os._exit(0)
    os.close(writer)
    output, timed_out = _read(reader, request["timeout"])
    if timed_out:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    answers = [json.loads(line) for line in output.splitlines(keepends=True) if line.endswith(b"\n")]
    if not (timed_out or os.WIFSIGNALED(status)):
        return answers[-1] if answers else _unknown("the trial ended without an answer")
    reason = f"ONNX Runtime ends with {signal.Signals(os.WTERMSIG(status)).name}"
    reason = f"it took longer than {request['timeout']:g} s" if timed_out else reason
    if answers:  # it was loaded, and did not get through the batches
        return {**answers[0], "batches": {"verdict": "unknown", "cause": "", "reason": reason}}
    return _unknown(reason) if timed_out else {"state": "crashed", "reason": reason}


def _read(reader: int, timeout: float) -> tuple[bytes, bool]:
    """Read to the end, or to the deadline, and say whether that was it."""
    output, deadline = b"", time.monotonic() + timeout
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            if not (data := pipe.read(1 << 16)):
                return output, False
            output += data
    return output, True


def _unknown(reason: str) -> dict[str, Any]:
    return {"state": "unknown", "reason": reason}


def tried(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Load the graph and give its tensors as ONNX Runtime infers them; then, where that is asked for, try batches."""
    path = Path(request["path"])
    limit = request["memory"]
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        session = onnxruntime.InferenceSession(str(path), _options(request), providers=["CPUExecutionProvider"])
    except Exception as exc:
        too_large = _unknown(f"it needs more than {limit >> 20:,} MB of memory")
        refused = {"state": "refused", "reason": _reason(exc), "kind": type(exc).__name__}
        yield too_large if _is_out_of_memory(exc) else refused
        return
    answer: dict[str, Any] = {"state": "loaded", "reason": ""}
    answer["inputs"] = [_signature(node) for node in session.get_inputs()]
    answer["optional_inputs"] = [_signature(node) for node in session.get_overridable_initializers()]
    answer["outputs"] = [_signature(node) for node in session.get_outputs()]
    yield answer
    if request["batches"]:
        yield {**answer, "batches": _batches(session, request["rows"], request["sizes"])}


def _options(request: dict[str, Any]) -> Any:
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    for library in request["libraries"]:
        options.register_custom_ops_library(library)
    return options


def _is_out_of_memory(exc: Exception) -> bool:
    text = str(exc)
    return isinstance(exc, MemoryError) or "bad_alloc" in text or "Failed to allocate memory" in text


def _reason(exc: Exception) -> str:
    lines = str(exc).strip().splitlines() or [type(exc).__name__]
    return lines[0][:400]


def _signature(node: Any) -> list[Any]:
    return [node.name, node.type, list(node.shape)]


def _batches(session: Any, count: int, sizes: dict[str, list[int]]) -> dict[str, str]:
    """Whether f(concat) = concat(f), on seeded rows."""
    started = time.monotonic()
    try:
        for seed in _SCALES:
            rows = _inputs(session, seed, count, sizes)
            together = _run(session, rows)
            _require_repeatable(session, rows, together)
            is_slow = seed > 1 and time.monotonic() - started > _SLOW
            for split in _splits(count)[: 1 if is_slow else None]:
                _compare(session, rows, together, split)
    except RowsDiffer as exc:
        return {"verdict": "refuted", "cause": "rows", "reason": str(exc)}
    except RowsDepend as exc:
        return {"verdict": "refuted", "cause": "company", "reason": str(exc)}
    except NotTried as exc:
        return {"verdict": "unknown", "cause": "", "reason": str(exc)}
    except Exception as exc:
        return {"verdict": "unknown", "cause": "", "reason": f"ONNX Runtime: {_reason(exc)[:200]}"}
    return {"verdict": "proved", "cause": "", "reason": ""}


def _splits(count: int) -> list[tuple[int, ...]]:
    """Give the parts in which rows are run, besides all at once: 5 → 1+4, 4+1, 1+2+2."""
    if count == 1:
        return []
    return [(1, count - 1), (count - 1, 1), *([(1, 2, count - 3)] if count > 3 else [])]


def _inputs(session: Any, seed: int, count: int, sizes: dict[str, list[int]]) -> dict[str, Any]:
    """Make up rows with each of which the graph runs: small sizes and integers suit most graphs, and not all."""
    nodes, reason = session.get_inputs(), "they would be too large"
    for shapes, greatest in _candidates(nodes, count, sizes):
        if any(math.prod(shape) > _MOST_ELEMENTS for shape in shapes.values()):
            continue
        try:
            rows = {node.name: _made_up(node, seed, shapes[node.name], greatest) for node in nodes}
            for row in range(count):
                session.run(None, {name: value[row : row + 1] for name, value in rows.items()})
        except NotTried:
            raise
        except Exception as exc:
            reason = _reason(exc)[:200]
        else:
            if rows:
                return rows
    raise NotTried(f"it does not run with made-up inputs: {reason}")


def _candidates(
    nodes: list[Any], count: int, sizes: dict[str, list[int]]
) -> Iterator[tuple[dict[str, tuple[int, ...]], int]]:
    """Give shapes of the inputs and greatest integers, likely ones first."""
    images = any(len(node.shape) == 4 and not any(isinstance(dim, int) for dim in node.shape) for node in nodes)
    has_integers = any("int" in node.type for node in nodes)
    seen = []
    for channels in (None, *(_CHANNELS if images else ())):
        for free in _FREE_SIZES:
            shapes = {node.name: (count, *_shape(node, free, channels, sizes)) for node in nodes}
            if shapes not in seen:
                seen.append(shapes)
                yield from ((shapes, greatest) for greatest in (_GREATEST if has_integers else _GREATEST[:1]))


def _shape(node: Any, free: int, channels: tuple[int, int] | None, sizes: dict[str, list[int]]) -> list[int]:
    """Give the sizes behind the batch: those of the config, of the graph, or made up."""
    shape = [dim if isinstance(dim, int) and dim > 0 else -1 for dim in node.shape[1:]]
    if channels and len(shape) == 3 and set(shape) == {-1}:
        shape[channels[0]] = channels[1]
    given = sizes.get(node.name, [])
    if len(given) == len(shape):
        shape = [ours if ours > 0 else theirs for ours, theirs in zip(shape, given, strict=True)]
    return [dim if dim > 0 else free for dim in shape]


def _made_up(node: Any, seed: int, size: tuple[int, ...], greatest: int) -> Any:
    random = np.random.default_rng([seed, *node.name.encode()])
    kind = node.type.removeprefix("tensor(").removesuffix(")")
    if kind in ("float", "double", "float16"):
        dtype = {"float": "float32", "double": "float64"}.get(kind, kind)
        return (random.normal(size=size) * _SCALES[seed]).astype(dtype)
    if kind.removeprefix("u").startswith("int"):
        return random.integers(0, greatest, size=size).astype(kind)
    if kind == "bool":
        return random.random(size) < 0.5
    if kind == "string":
        return random.integers(0, 100, size=size).astype(str).astype(object)
    raise NotTried(f"input {node.name!r} is of type {node.type}")


def _run(session: Any, rows: dict[str, Any]) -> list[Any]:
    count = len(next(iter(rows.values())))
    try:
        values = session.run(None, rows)
    except Exception as exc:
        if _is_out_of_memory(exc):
            raise NotTried(f"{count} rows need more memory than a trial has") from exc
        raise RowsDiffer(f"it does not run with {count} rows: {_reason(exc)[:200]}") from exc
    for node, value in zip(session.get_outputs(), values, strict=True):
        if not isinstance(value, np.ndarray):
            raise NotTried(f"output {node.name!r} is no tensor")
        if value.shape[:1] != (count,):
            raise RowsDiffer(f"output {node.name!r} has the shape {list(value.shape)} for {count} rows")
    return list(values)


def _require_repeatable(session: Any, rows: dict[str, Any], values: list[Any]) -> None:
    """Raise NotTried where the same rows give another output: a comparison with the parts would say nothing."""
    for node, value, again in zip(session.get_outputs(), values, _run(session, rows), strict=True):
        if value.shape != again.shape or not _is_close(value, again):
            raise NotTried(f"output {node.name!r} is another each time it runs, as with random numbers")


def _compare(session: Any, rows: dict[str, Any], together: list[Any], split: tuple[int, ...]) -> None:
    ends = np.cumsum(split)
    parts = [
        _run(session, {name: value[end - count : end] for name, value in rows.items()})
        for count, end in zip(split, ends, strict=True)
    ]
    for number, node in enumerate(session.get_outputs()):
        pieces = [part[number] for part in parts]
        if len({piece.shape[1:] for piece in (*pieces, together[number])}) > 1:
            raise RowsDepend(f"output {node.name!r} has another shape for a row in company")
        if not _is_close(np.concatenate(pieces), together[number]):
            raise RowsDepend(f"output {node.name!r} is another for a row in company: rows depend on each other")


def _is_close(ours: Any, theirs: Any) -> bool:
    """Whether two arrays are the same but for the rounding of another order of additions."""
    if ours.dtype.kind not in "fc":
        return bool(np.array_equal(ours, theirs))
    tolerance = 1e-2 if ours.dtype == np.float16 else 1e-4
    scale = float(np.max(np.abs(ours), initial=1.0, where=np.isfinite(ours)))
    return bool(np.allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale, equal_nan=True))


if __name__ == "__main__":
    main()
