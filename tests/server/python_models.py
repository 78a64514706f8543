"""Models of the Python backend that do as they are told when they start."""

from __future__ import annotations

from pathlib import Path

CONFIG = """backend: "python"
input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 3 ] } ]
instance_group [ { kind: KIND_CPU } ]
"""
ECHO = """import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def initialize(self, args):
        {initialize}
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", r.inputs()[0].as_numpy())]) for r in requests]
"""
ABORT_THE_SERVER = "import os, signal, time; os.kill(os.getsid(0), signal.SIGABRT); time.sleep(60)"


def python_model(models_dir: Path, name: str, *, initialize: str = "pass", config: str = CONFIG) -> Path:
    """Write a model that gives its input back; `initialize` is a line of Python."""
    folder = models_dir / name
    (folder / "1").mkdir(parents=True)
    folder.joinpath("config.pbtxt").write_text(config)
    folder.joinpath("1", "model.py").write_text(ECHO.format(initialize=initialize))
    return folder
