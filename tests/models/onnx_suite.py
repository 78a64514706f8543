"""The ONNX project's backend tests as models of a repository: a graph each, with inputs."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.loader import load_model_tests
from onnx.numpy_helper import to_array


@dataclass(frozen=True)
class SuiteModel:
    """One test: a graph and the inputs of its first data set, by name."""

    name: str
    model: bytes
    inputs: Mapping[str, Any]

    def write(self, repository: Path) -> Path:
        """Make the model's folder with its graph; gives the graph's path."""
        path = repository / self.name / "1" / "model.onnx"
        path.parent.mkdir(parents=True)
        path.write_bytes(self.model)
        return path


def suite() -> list[SuiteModel]:
    """Make all of them; those with data that is no tensor have no inputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the reference implementations, which divide by zero on purpose
        nodes = [_of_node(case) for case in collect_testcases(None)]
    kinds = ("simple", "pytorch-converted", "pytorch-operator")
    stored = [_stored(case) for kind in kinds for case in load_model_tests(kind=kind)]
    return sorted({made.name: made for made in (*nodes, *stored)}.values(), key=lambda made: made.name)


def sample(models: Sequence[SuiteModel], count: int, *, seed: int) -> list[SuiteModel]:
    """Choose some, the same for a seed."""
    return random.Random(seed).sample(list(models), count)


def _of_node(case: Any) -> SuiteModel:
    arrays = case.data_sets[0][0] if case.data_sets else []
    return SuiteModel(case.name, case.model.SerializeToString(), _named(case.model, arrays))


def _stored(case: Any) -> SuiteModel:
    folder = Path(case.model_dir)
    content = (folder / "model.onnx").read_bytes()
    files = sorted((folder / "test_data_set_0").glob("input_*.pb"), key=lambda path: int(path.stem.rpartition("_")[2]))
    arrays = []
    for file in files:
        tensor = onnx.TensorProto()
        tensor.ParseFromString(file.read_bytes())
        arrays.append(to_array(tensor))
    return SuiteModel(case.name, content, _named(onnx.load_model_from_string(content), arrays))


def _named(model: onnx.ModelProto, arrays: Sequence[Any]) -> dict[str, Any]:
    names = [value.name for value in model.graph.input]
    if len(arrays) > len(names) or not all(isinstance(array, np.ndarray | np.generic) for array in arrays):
        return {}
    return {name: np.asarray(array) for name, array in zip(names, arrays, strict=False)}
