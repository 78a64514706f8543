"""What the suite costs before it does anything, and what short commands cost in all, in CPU seconds.

    ./inv bench startup                  # against a bare Invoke that lists one task
    ./inv bench startup --arg COMMIT     # also the commands of an earlier commit, in the same run

Commands: `inv --list`, the bootstrap in front of it, `triton.list` of a server that serves nothing, `models.config` of
ten models, and the completion of a model's name. Exits 1 where, against COMMIT, `triton.list` costs more than 0.65 × or
`models.config` more than 0.5 ×, or where a completion costs more than 1.2 × `inv --list`.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from _timing import PROJECT, checkout

from tests.onnx_models import affine, config_pbtxt
from tritonops.server import embedded
from tritonops.server.ports import free_ports

ROUNDS = int(os.environ.get("ROUNDS", "20"))
LIMITS = {"triton.list": 0.65, "models.config": 0.5}
MOST_FOR_COMPLETION = 1.2
ONE_TASK = '''from invoke import task


@task
def hello(c):
    """Say hello."""
'''


def main(commit: str | None = None) -> int:
    """Measure all commands in turn, and print their ratios."""
    with tempfile.TemporaryDirectory() as name, _served(Path(name)) as environment:
        folder = Path(name)
        bare = folder / "bare"
        bare.mkdir()
        (bare / "tasks.py").write_text(ONE_TASK)
        invoke = str(Path(sys.executable).with_name("inv"))
        commands = {
            "bare Invoke, one task, --list": (invoke, "--search-root", str(bare), "--list"),
            "./inv --list": (str(PROJECT / "inv"), "--list"),
            **_commands("this", PROJECT),
        }
        if commit:
            commands |= _commands(commit, checkout(commit, folder / "earlier"))
        figures = _cpu_seconds(commands, environment)
    print("CPU of a command (medians)")
    for command, seconds in figures.items():
        print(f"  {command:<45} {seconds * 1000:7.1f} ms")
    return _report(figures, commit)


@contextmanager
def _served(folder: Path) -> Iterator[dict[str, str]]:
    """Start a Triton that serves nothing, and write ten models; gives the environment of the commands."""
    for number in range(10):
        path = folder / "configs" / f"model_{number}" / "gpu.pbtxt"
        path.parent.mkdir(parents=True)
        path.write_text(config_pbtxt(affine()))
    entry = '[[models.model_{0}]]\npath = "model.onnx"\ntriton_version = 1\n'
    (folder / "models.toml").write_text("\n".join(entry.format(number) for number in range(10)))
    (folder / "triton").mkdir()
    server = embedded.start(folder / "triton", folder / ".server", ports=free_ports())
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TRITON", "MODELS"))}
    try:
        yield {
            **kept,
            "MODELS_TOML": str(folder / "models.toml"),
            "TRITON_MODELS_DIR": str(folder / "triton"),
            "TRITON_CONFIG_DIR": str(folder / "configs"),
            "TRITON_URL": server.grpc_url,
        }
    finally:
        embedded.kill(server)


def _commands(name: str, code: Path) -> dict[str, Sequence[str]]:
    program = next(path for path in (code / "tasks/shared/program.py", code / "tasks/program.py") if path.exists())
    inv = (sys.executable, "-P", str(program), "--write-pyc", "--search-root", str(code))
    found: dict[str, Sequence[str]] = {
        f"{task} ({name})": (*inv, *words.split())
        for task, words in {
            "inv --list": "--list",
            "triton.list": "triton.list",
            "models.config": "models.config",
        }.items()
    }
    if name == "this":
        found["completion (this)"] = (*inv, "--complete-words", "bash", "inv", "models.download", "model_")
    return found


def _cpu_seconds(commands: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for counted in [False] + [True] * ROUNDS:
        for name, command in commands.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, env=environment, check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if counted:
                seconds[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {name: statistics.median(runs) for name, runs in seconds.items()}


def _report(figures: Mapping[str, float], commit: str | None) -> int:
    ratios = {
        "completion ÷ inv --list": (figures["completion (this)"] / figures["inv --list (this)"], MOST_FOR_COMPLETION)
    }
    if commit:
        for task, limit in LIMITS.items():
            ratios[f"{task} ÷ {commit}'s"] = figures[f"{task} (this)"] / figures[f"{task} ({commit})"], limit
    for name, (ratio, limit) in ratios.items():
        print(f"  {name}: {ratio:.2f}, limit {limit}: {'met' if ratio <= limit else 'MISSED'}")
    return int(any(ratio > limit for ratio, limit in ratios.values()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
