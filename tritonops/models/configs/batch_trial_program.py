"""Runs one graph alone and in batches, and prints the verdict as JSON: a program, which imports no tritonops."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime

_FIXED_MEMORY = 2 << 30
"""Address space of the interpreter, of ONNX Runtime and of its threads."""
_FREE_SIZES = (4, 1, 16, 32, 64, 128, 224, 256, 640)
"""For dimensions that vary and are not the batch: the first with which the graph runs."""
_GREATEST = (100, 2, 1)
"""For integers, which may be indices: the first with which the graph runs."""
_ROWS = 5
_SPLITS = ((1, 2, 2), (4, 1))
_SEEDS = (1, 2, 3)


class Refuted(Exception):
    """Batches give other answers than single requests."""


class NotTried(Exception):
    """The graph could not be run with made-up inputs."""


def main(path: str) -> dict[str, str]:
    """Give the verdict and its reason."""
    size = sum(file.stat().st_size for file in Path(path).parent.glob("*") if file.is_file())
    limit = _FIXED_MEMORY + 2 * size
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        session = onnxruntime.InferenceSession(path, _options(), providers=["CPUExecutionProvider"])
        for seed in _SEEDS:
            rows = _inputs(session, seed)
            together = _run(session, rows)
            for split in _SPLITS:
                _compare(session, rows, together, split)
    except Refuted as exc:
        return {"verdict": "refuted", "reason": str(exc)}
    except NotTried as exc:
        return {"verdict": "unknown", "reason": str(exc)}
    except Exception as exc:
        return {"verdict": "unknown", "reason": f"ONNX Runtime: {str(exc).splitlines()[0][:200]}"}
    return {"verdict": "proved", "reason": ""}


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    options.intra_op_num_threads = 2
    return options


def _inputs(session: Any, seed: int) -> dict[str, Any]:
    """Make up rows that the graph runs with: small sizes and small integers suit most graphs, and not all."""
    reason = "it has no inputs"
    for free in _FREE_SIZES:
        for greatest in _GREATEST:
            try:
                rows = {node.name: _made_up(node, seed, free, greatest) for node in session.get_inputs()}
                session.run(None, {name: value[:1] for name, value in rows.items()})
            except NotTried:
                raise
            except Exception as exc:
                reason = str(exc).splitlines()[0][:200]
            else:
                if rows:
                    return rows
    raise NotTried(f"it does not run with made-up inputs: {reason}")


def _made_up(node: Any, seed: int, free: int, greatest: int) -> Any:
    random = np.random.default_rng([seed, *node.name.encode()])
    shape = (_ROWS, *(dim if isinstance(dim, int) and dim > 0 else free for dim in node.shape[1:]))
    kind = node.type.removeprefix("tensor(").removesuffix(")")
    if kind in ("float", "double", "float16"):
        return random.normal(size=shape).astype({"float": "float32", "double": "float64"}.get(kind, kind))
    if kind.removeprefix("u").startswith("int"):
        return random.integers(0, greatest, size=shape).astype(kind)
    if kind == "bool":
        return random.random(shape) < 0.5
    if kind == "string":
        return random.integers(0, 100, size=shape).astype(str).astype(object)
    raise NotTried(f"input {node.name!r} is of type {node.type}")


def _run(session: Any, rows: dict[str, Any]) -> list[Any]:
    count = len(next(iter(rows.values())))
    try:
        values = session.run(None, rows)
    except Exception as exc:
        raise Refuted(f"it does not run with {count} rows: {str(exc).splitlines()[0][:200]}") from exc
    for node, value in zip(session.get_outputs(), values, strict=True):
        if not isinstance(value, np.ndarray):
            raise NotTried(f"output {node.name!r} is no tensor")
        if value.shape[:1] != (count,):
            raise Refuted(f"output {node.name!r} has the shape {list(value.shape)} for {count} rows")
    return list(values)


def _compare(session: Any, rows: dict[str, Any], together: list[Any], split: tuple[int, ...]) -> None:
    parts = [_run(session, part) for part in _parts(rows, split)]
    for number, node in enumerate(session.get_outputs()):
        pieces = [part[number] for part in parts]
        if len({piece.shape[1:] for piece in (*pieces, together[number])}) > 1:
            raise Refuted(f"output {node.name!r} has another shape for a row in company")
        if not _is_close(np.concatenate(pieces), together[number]):
            raise Refuted(f"output {node.name!r} is another for a row in company: rows depend on each other")


def _parts(rows: dict[str, Any], split: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    start = 0
    for count in split:
        yield {name: value[start : start + count] for name, value in rows.items()}
        start += count


def _is_close(ours: Any, theirs: Any) -> bool:
    """Whether two arrays are the same but for the rounding of another order of additions."""
    if ours.dtype.kind not in "fc":
        return bool(np.array_equal(ours, theirs))
    tolerance = 1e-2 if ours.dtype == np.float16 else 1e-4
    scale = float(np.max(np.abs(ours), initial=1.0, where=np.isfinite(ours)))
    return bool(np.allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale, equal_nan=True))


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
