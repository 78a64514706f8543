"""What commands with nothing to do cost as the number of models grows.

    ./inv bench growth                    # 10, 100, 1,000 and 3,000 models; writes docs/performance.md
    SIZES=10,100 ./inv bench growth

One repository, models.toml and models.lock of each size; the embedded Triton serves all of it for the tasks that ask
a server. The models are ensembles of one step: real ones, that take no process each. Figures are CPU seconds of the
command alone, the median of ROUNDS (3). Exits 1 where a model costs more than 1.5 × as much at the largest size as at
100 models, or where a plan of 1,000 costs more than 10 × `inv --list`.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from _timing import INV, machine, write_section

from tests.onnx_models import affine, write_model
from tritonops.server import embedded
from tritonops.server.ports import free_ports

SIZES = [int(size) for size in os.environ.get("SIZES", "10,100,1000,3000").split(",")]
ROUNDS = int(os.environ.get("ROUNDS", "3"))
TASKS: Mapping[str, Sequence[str]] = {
    "inv --list": ("--list",),
    "models.list": ("models.list",),
    "models.check": ("models.check",),
    "models.config": ("models.config", "--cpu"),
    "models.download": ("models.download",),
    "models.lock --check": ("models.lock", "--check"),
    "triton.plan": ("triton.plan", "--cpu"),
    "triton.apply": ("triton.apply", "--cpu"),
}
MOST_GROWTH, MOST_PLAN = 1.5, 10.0
CONFIG = """\
name: "{name}"
platform: "ensemble"
max_batch_size: 8
input {{ name: "x" data_type: TYPE_FP32 dims: 3 }}
output {{ name: "y" data_type: TYPE_FP32 dims: 3 }}
ensemble_scheduling {{
  step {{
    model_name: "step"
    model_version: -1
    input_map {{ key: "x" value: "x" }}
    output_map {{ key: "y" value: "y" }}
  }}
}}
"""


def main() -> int:
    """Measure each size, and print the table."""
    figures = {size: _measure(size) for size in SIZES}
    lines = _table(figures)
    problems = _problems(figures)
    lines += [f"- {problem}" for problem in problems] or ["- every limit met"]
    print("\n".join(lines))
    if "SIZES" not in os.environ:
        write_section("growth", "\n".join([f"Measured on: {machine()}; median of {ROUNDS} round(s).", "", *lines, ""]))
    return 1 if problems else 0


def _measure(size: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ports = free_ports()
        environment = _environment(folder, f"127.0.0.1:{ports.grpc}")
        _write_models(folder, size)
        for task in (("models.config", "--cpu"), ("models.download",)):
            subprocess.run([*INV, *task], env=environment, check=True, capture_output=True)
        server = embedded.start(folder / "triton", folder / ".server", ports=ports, timeout=1800)
        try:
            subprocess.run([*INV, "triton.apply", "--cpu"], env=environment, check=True, capture_output=True)
            return {task: _cpu_seconds(words, environment) for task, words in TASKS.items()}
        finally:
            embedded.kill(server)


def _environment(folder: Path, url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TRITON", "MODELS"))}
    return {
        **kept,
        "MODELS_TOML": str(folder / "models.toml"),
        "TRITON_MODELS_DIR": str(folder / "triton"),
        "TRITON_CONFIG_DIR": str(folder / "triton-config"),
        "TRITON_URL": url,
    }


def _write_models(folder: Path, size: int) -> None:
    """Write models.toml: one step, and ensembles whose version has a note as its only file."""
    write_model(folder / "made", "step", {1: affine(2, 1)})
    (folder / "made/step/config.pbtxt").rename(_config_of(folder, "step"))
    entries = ['[[models.step]]\npath = "made/step/1/model.onnx"\ntriton_version = 1\n']
    for number in range(size - 1):
        name = f"ensemble_{number:05}"
        _config_of(folder, name).write_text(CONFIG.format(name=name))
        note = folder / "made" / f"{name}.txt"
        note.write_text(f"{name}\n")
        entries.append(f'[[models.{name}]]\npath = "made/{name}.txt"\nlocal_name = "about.txt"\ntriton_version = 1\n')
    (folder / "models.toml").write_text("\n".join(entries))


def _config_of(folder: Path, name: str) -> Path:
    path = folder / "triton-config" / name / "cpu.pbtxt"
    path.parent.mkdir(parents=True)
    return path


def _cpu_seconds(words: Sequence[str], environment: Mapping[str, str]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([*INV, *words], env=environment, check=False, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise SystemExit(f"inv {' '.join(words)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr}")
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(seconds)


def _table(figures: Mapping[int, Mapping[str, float]]) -> list[str]:
    lines = [
        f"| | {' | '.join(f'{size:,} models' for size in SIZES)} | a model, {SIZES[-1]:,} ÷ {_middle():,} |",
        f"|---|{'---|' * (len(SIZES) + 1)}",
    ]
    for task in TASKS:
        cells = [f"{figures[size][task]:.2f} s" for size in SIZES]
        lines.append(f"| {task} | {' | '.join(cells)} | {_growth(figures, task):.2f} |")
    return [*lines, ""]


def _middle() -> int:
    return 100 if 100 in SIZES else SIZES[0]


def _growth(figures: Mapping[int, Mapping[str, float]], task: str) -> float:
    """The cost of a model at the largest size, by that at 100."""
    largest, middle = SIZES[-1], _middle()
    return (figures[largest][task] / largest) / (figures[middle][task] / middle)


def _problems(figures: Mapping[int, Mapping[str, float]]) -> list[str]:
    found = [
        f"{task}: a model costs {growth:.2f} × as much at {SIZES[-1]:,} as at {_middle():,} models, limit {MOST_GROWTH}"
        for task in TASKS
        if (growth := _growth(figures, task)) > MOST_GROWTH
    ]
    if 1000 in SIZES and (ratio := figures[1000]["triton.plan"] / figures[1000]["inv --list"]) > MOST_PLAN:
        found.append(f"triton.plan of 1,000 models costs {ratio:.1f} × `inv --list`, limit {MOST_PLAN}")
    return found


if __name__ == "__main__":
    sys.exit(main())
