"""`inv triton.apply` on 50 small models of which one changed, against a bare gRPC script that loads that one.

The bare script is told which model it is; apply has to find out, fetch the new file, load it, and check that it is
served. Each round changes the model first: for apply in models.toml, for the script on disk.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import onnx
from _timing import INV, print_ratios

from tests.onnx_models import affine, config_pbtxt
from tritonops.server import embedded
from tritonops.server.ports import free_ports

COUNT = 50
CHANGED = "model_07"
BARE = """
import sys
import tritonclient.grpc
client = tritonclient.grpc.InferenceServerClient(sys.argv[1])
client.load_model(sys.argv[2])
assert client.is_model_ready(sys.argv[2])
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "served/triton").mkdir(parents=True)
        server = embedded.start(project / "served/triton", project / "served/.server", ports=free_ports())
        try:
            figures = _compare(project, server.grpc_url, rounds=int(os.environ.get("ROUNDS", "10")))
        finally:
            embedded.kill(server)
    print_ratios(f"Loading the one of {COUNT} models that changed", figures, baseline="a bare script that loads it")


def _compare(project: Path, url: str, *, rounds: int) -> dict[str, float]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TRITON", "MODELS"))}
    env |= {"TRITON_MODELS_DIR": str(project / "served/triton"), "MODELS_TOML": str(project / "models.toml")}
    env |= {"TRITON_CONFIG_DIR": str(project / "triton-config"), "TRITON_URL": url}
    bare = [sys.executable, "-c", BARE, url, CHANGED]
    _write_configs(project)
    _write_catalog(project, which=0)
    _timed([*INV, "triton.apply"], env)
    nothing, ours, theirs = [], [], []
    for number in range(1, rounds + 2):
        _write_catalog(project, which=number % 2)
        ours.append(_timed([*INV, "triton.apply"], env))
        nothing.append(_timed([*INV, "triton.apply"], env))
        place = project / "served/triton" / CHANGED / "1"
        os.utime(place)
        theirs.append(_timed(bare, env))
    # The first of each is not counted.
    return {
        "a bare script that loads it": statistics.median(theirs[1:]),
        "inv triton.apply": statistics.median(ours[1:]),
        "inv triton.apply, nothing to do": statistics.median(nothing[1:]),
    }


def _write_configs(project: Path) -> None:
    for number in range(COUNT):
        folder = project / "triton-config" / f"model_{number:02}"
        folder.mkdir(parents=True)
        (folder / "gpu.pbtxt").write_text(config_pbtxt(affine()))
        for which in (0, 1):
            onnx.save_model(affine(1, number + which / 2), project / f"{number:02}-{which}.onnx")


def _write_catalog(project: Path, *, which: int) -> None:
    entries = (
        f'[[models.model_{number:02}]]\npath = "{number:02}-{which if number == 7 else 0}.onnx"\ntriton_version = 1\n'
        for number in range(COUNT)
    )
    (project / "models.toml").write_text("\n".join(entries))


def _timed(command: list[str], env: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
