"""A project whose models are small files beside its models.toml, and a Triton that serves it."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.json_format import MessageToJson
from tritonclient.grpc import InferenceServerClient

from tests.onnx_models import affine, config_pbtxt
from tritonops.settings import Settings, load_settings
from tritonops.triton.client.client import TritonClient
from tritonops.triton.infer import infer
from tritonops.triton.list import list_models


@dataclass
class ServedProject:
    settings: Settings
    client: TritonClient

    def declare(self, name: str, *offsets: float, config: bool = True, extra: str = "", toml: str = "") -> None:
        """Have models.toml list versions 1, 2, … of a model whose answer is y = x + offset."""
        folder = self.settings.project / "sources"
        folder.mkdir(exist_ok=True)
        for offset in offsets:
            onnx.save_model(affine(1, offset), folder / f"{name}-{offset:g}.onnx")
        self.entries[name] = "".join(
            f'[[models.{name}]]\npath = "sources/{name}-{offset:g}.onnx"\ntriton_version = {number}\n{toml}\n'
            for number, offset in enumerate(offsets, start=1)
        )
        self._write_catalog()
        if config:
            self.write_source_config(name, extra)

    def undeclare(self, name: str) -> None:
        del self.entries[name]
        self._write_catalog()

    def write_source_config(self, name: str, extra: str = "") -> None:
        folder = self.settings.config_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "gpu.pbtxt").write_text(config_pbtxt(affine(), extra=extra))

    def write_smoke_test(self, name: str, **contents: object) -> None:
        (self.settings.config_dir / name / "smoke.json").write_text(json.dumps(contents))

    def served(self) -> dict[str, list[int | None]]:
        rows = [row for row in list_models(self.client) if row.state == "READY"]
        return {name: [row.version for row in rows if row.name == name] for name in sorted({row.name for row in rows})}

    def answer(self, name: str, version: int | None = None) -> float:
        """What y = x + offset says to zeros: the offset."""
        return float(infer(self.client, name, version=version).responses[0][0].array[0, 0])

    def __post_init__(self) -> None:
        self.entries: dict[str, str] = {}
        self._write_catalog()

    def _write_catalog(self) -> None:
        self.settings.models_toml.write_text("\n".join(self.entries.values()))


def project_over(client: TritonClient, models_dir: Path, folder: Path) -> ServedProject:
    """Make an empty project over a server's models directory, with nothing left there of another."""
    for name in {row.name for row in list_models(client) if row.state == "READY"}:
        client.unload(name, timeout=30)
    for leftover in (models_dir, models_dir.with_name("triton-disabled"), models_dir.with_name(".store")):
        shutil.rmtree(leftover, ignore_errors=True)
    models_dir.mkdir()
    environ = {"TRITON_MODELS_DIR": str(models_dir), "TRITON_URL": client.url}
    return ServedProject(load_settings(folder, environ=environ), client)


def load_with_another_config(client, name, change):
    """What another client does who passes a config of its own to the load call."""
    config = client.config(name)
    change(config)
    with InferenceServerClient(client.url) as other:
        other.load_model(name, config=MessageToJson(config, preserving_proto_field_name=True))


ENSEMBLE = """
platform: "ensemble"
max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: [3] }
output { name: "y" data_type: TYPE_FP32 dims: [3] }
ensemble_scheduling { step [ { model_name: "STEP" model_version: -1
  input_map { key: "x" value: "x" } output_map { key: "y" value: "y" } } ] }
"""


def write_ensemble(models_dir, name, step, *, version=-1):
    """Write an ensemble of one step, at a version of it; -1 is the newest."""
    (models_dir / name / "1").mkdir(parents=True)
    text = ENSEMBLE.replace("STEP", step).replace("model_version: -1", f"model_version: {version}")
    (models_dir / name / "config.pbtxt").write_text(text)
