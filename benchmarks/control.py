"""`server.up` of a hundred models and `triton.load` of one, against the same commands of an earlier commit, in one run.

    ./inv bench control --arg COMMIT

Each side is a checkout of its own, with the caller's Python environment, a models directory and a server. Each round
starts and stops both servers; then one model, whose file changes each time, is loaded on both. Exits 1 where a start
costs more than 1.05 ×, or a load more than 1.1 ×. ROUNDS and LOADS set how often, MODELS how many.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx
from _timing import PROJECT, print_ratios

from tests.onnx_models import affine, write_model
from tritonops.server.ports import free_ports

ROUNDS, LOADS, MODELS = (
    int(os.environ.get(name, default)) for name, default in (("ROUNDS", "3"), ("LOADS", "20"), ("MODELS", "100"))
)
LIMITS = {"server.up": 1.05, "triton.load": 1.1}


@dataclass(frozen=True)
class Side:
    """One commit's code, over a models directory of its own."""

    name: str
    code: Path
    models_dir: Path
    environment: Mapping[str, str]

    @classmethod
    def make(cls, name: str, code: Path, folder: Path) -> Side:
        """Write its models, and choose its ports."""
        models_dir = folder / "triton"
        for number in range(MODELS):
            write_model(models_dir, f"model_{number:03}", {1: affine(1, number)})
        ports = free_ports()
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TRITON", "MODELS"))
        }
        exposed = {f"TRITON_EXPOSE_{kind.upper()}": str(port) for kind, port in asdict(ports).items()}
        own = {"TRITON_MODELS_DIR": str(models_dir), "TRITON_URL": f"127.0.0.1:{ports.grpc}"}
        return cls(name, code, models_dir, {**kept, **exposed, **own})

    def seconds(self, *arguments: str) -> float:
        """Run a task, and give how long it took."""
        command = [
            sys.executable,
            "-P",
            str(next(self.code.glob("tasks/**/program.py"))),
            "--search-root",
            str(self.code),
            *arguments,
        ]
        started = time.perf_counter()
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
        if done.returncode:
            raise SystemExit(f"{self.name}: {arguments[0]}: exit {done.returncode}\n{done.stderr}")
        return seconds

    def change(self, number: int) -> None:
        """Put another file in the place of one model's."""
        version = self.models_dir / "model_003/1"
        onnx.save_model(affine(1, number), version.parent / "new.onnx")
        (version.parent / "new.onnx").replace(version / "model.onnx")


def main() -> None:
    """Compare this working tree with a commit."""
    (commit,) = sys.argv[1:] or ["HEAD"]
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary)
        archive = folder / "checkout.tar"
        subprocess.run(["git", "archive", "--output", archive, commit], cwd=PROJECT, check=True)
        with tarfile.open(archive) as packed:
            packed.extractall(folder / "checkout", filter="data")
        before = Side.make(commit, folder / "checkout", folder / "before")
        ratios = _compare(before, Side.make("this", PROJECT, folder / "now"))
    if slow := [name for name, ratio in ratios.items() if ratio > LIMITS[name]]:
        raise SystemExit(f"too slow: {', '.join(slow)}")


def _compare(before: Side, now: Side) -> dict[str, float]:
    starts: dict[str, list[float]] = {before.name: [], now.name: []}
    loads: dict[str, list[float]] = {before.name: [], now.name: []}
    for number in range(ROUNDS):
        for side in (before, now) if number % 2 else (now, before):
            try:
                starts[side.name].append(side.seconds("server.up"))
            finally:
                side.seconds("server.down")
    try:
        for side in (before, now):
            side.seconds("server.up")
        for number in range(LOADS + 1):
            for side in (before, now) if number % 2 else (now, before):
                side.change(1000 + number)
                loads[side.name].append(side.seconds("triton.load", "model_003"))
    finally:
        for side in (before, now):
            side.seconds("server.down")
    # The first load compiles modules, and finds nothing written down about what the start loaded.
    found = {
        "server.up": {name: statistics.median(times) for name, times in starts.items()},
        "triton.load": {name: statistics.median(times[1:]) for name, times in loads.items()},
    }
    for name, medians in found.items():
        print_ratios(f"{name} ({MODELS} models)" if name == "server.up" else name, medians, baseline=before.name)
    return {name: medians[now.name] / medians[before.name] for name, medians in found.items()}


if __name__ == "__main__":
    main()
