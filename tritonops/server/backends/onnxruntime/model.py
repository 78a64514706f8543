"""The backend "onnxruntime" of the embedded Triton: the onnxruntime package, behind Triton's Python backend.

Triton runs one process of this file for each instance of a model, with nothing of tritonops to import.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One instance of one version of a model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph; what is raised here is the reason that Triton gives for the model."""
        config = json.loads(args["model_config"])
        graph = _graph_file(Path(args["model_repository"], args["model_version"]), config)
        self.session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request by itself."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        values = self.session.run(self.outputs, inputs)
        tensors = [pb_utils.Tensor(name, np.asarray(value)) for name, value in zip(self.outputs, values, strict=True)]
        return pb_utils.InferenceResponse(tensors)


def _graph_file(version: Path, config: dict[str, Any]) -> Path:
    graph = version / (config.get("default_model_filename") or "model.onnx")
    return graph / "model.onnx" if graph.is_dir() else graph
