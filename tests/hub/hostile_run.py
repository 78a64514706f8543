"""One download from a hostile Hub, in a process of its own, and what there is to say against how it ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.hub.hostile import CONTENT, Case, serving
from tests.paths import PROJECT
from tritonops.errors import TritonOpsError
from tritonops.models.catalog.lockfile import load_lock

MAX_SECONDS, MAX_MEMORY, MAX_LINE = 60.0, 300e6, 1200
ENTRY = """
[[models.hostile]]
repo_id = "team/hostile"
triton_version = 1
type = "directory"
subfolder = "onnx"
"""

# Not ru_maxrss: that remembers the process which this one was forked from.
PROGRAM = """
import atexit, re, sys
from pathlib import Path
from invoke import Config, FilesystemLoader, Program

def save_peak(path=Path(sys.argv[1])):
    path.write_text(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

atexit.register(save_peak)
module, _ = FilesystemLoader(start=".", config=Config()).load("tasks")
Program(namespace=module.ns, binary="inv").run(["inv", "models.download"])
"""


@dataclass(frozen=True)
class Run:
    """How a download ended."""

    code: int
    seconds: float
    memory: int
    """Bytes, at its peak."""
    stderr: str
    complaints: tuple[str, ...]


def run(case: Case, folder: Path, *, environment: Mapping[str, str]) -> Run:
    """Download from a Hub of this case into `folder`, which is empty."""
    project = folder / "outer" / "project"
    project.mkdir(parents=True)
    (project / "models.toml").write_text(ENTRY)
    with serving(case) as endpoint:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HF_", "TRITON"))}
        env |= {
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(project / "hf"),
            "MODELS_TOML": str(project / "models.toml"),
            "TRITON_MODELS_DIR": str(project / "triton"),
            **environment,
        }
        command = [sys.executable, "-c", PROGRAM, str(folder / "peak")]
        started = time.monotonic()
        process = subprocess.Popen(
            command, env=env, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="surrogateescape"
        )
        output = process.communicate()[0]
        seconds = time.monotonic() - started
    memory = int((folder / "peak").read_text()) * 1024
    complaints = tuple(_complaints(case, folder, process.returncode, seconds, memory, output))
    return Run(process.returncode, seconds, memory, output, complaints)


def _complaints(case: Case, folder: Path, code: int, seconds: float, memory: float, output: str) -> Iterator[str]:
    project = folder / "outer" / "project"
    if code != (0 if case.can_succeed else 1):
        yield f"exit code {code}"
    if seconds > MAX_SECONDS:
        yield f"{seconds:.0f} seconds"
    if memory > MAX_MEMORY:
        yield f"{memory / 1e6:.0f} MB"
    if "Traceback" in output:
        yield "a traceback"
    lines = output.splitlines()
    if not all(line.isprintable() and len(line) <= MAX_LINE for line in lines):
        yield "a line that is not clean"
    if code == 1 and sum(line.startswith(("  hostile/1: ", "error: not enough space")) for line in lines) != 1:
        yield "not one line for the failure"
    try:
        load_lock(project / "models.lock")
        tomllib.loads((project / "models.toml").read_text())
    except (TritonOpsError, ValueError) as exc:
        yield f"an unreadable file: {exc}"
    installed = [path for path in (project / "triton").rglob("*") if path.is_file()]
    if [path.read_bytes() for path in installed] != ([CONTENT] if code == 0 else []):
        yield f"installed {[str(path) for path in installed]}"
    ours = {"triton", ".store", "models.toml", "models.lock", "hf"}
    strangers = {path.name for path in folder.rglob("*") if path.is_file() and not ours & set(path.parts)} - {"peak"}
    if strangers or Path("/tmp/escaped").exists():
        yield f"files outside: {strangers}"
