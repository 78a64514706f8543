"""The matrix of what a command does to a model, and how ensembles use it: under a client, no ensemble is lost unsaid.

`./inv bench ensembles` runs all cells; the tests run some of them.
"""

from __future__ import annotations

import itertools
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from tests.onnx_models import affine, config_pbtxt
from tests.triton.projects import ENSEMBLE
from tritonops.errors import TritonOpsError
from tritonops.models.configs.version_policy import VersionPolicy, set_version_policy
from tritonops.server.embedded import EmbeddedServer
from tritonops.triton.client.client import TritonClient, connect
from tritonops.triton.infer import infer

OPERATIONS = ("serve", "load", "load --version", "unload", "unload --version", "apply", "remove", "disable")
SITUATIONS = (
    *("pinned step", "newest step", "signature change", "unmanaged ensemble"),
    *("two ensembles on one step", "disabled step"),
)
CELLS = tuple(itertools.product(OPERATIONS, SITUATIONS))
PINNED = {"pinned step", "unmanaged ensemble", "two ensembles on one step"}

Run = Callable[[Sequence[str], Mapping[str, str]], tuple[int, str]]
"""Runs a command line of the project with this environment; gives the exit code, and all that it printed."""


@dataclass(frozen=True)
class Result:
    """What became of one cell."""

    operation: str
    situation: str
    code: int
    output: str
    ensembles: tuple[str, ...]
    lost: tuple[str, ...]
    """The ensembles that do not answer any more."""
    failures: tuple[str, ...]
    """What clients got instead of an answer, during the command."""

    @property
    def problem(self) -> str | None:
        """What must not be; None where all is well."""
        if self.lost:
            return f"exit {self.code}, and {', '.join(self.lost)} went out of service"
        if self.failures:
            return f"exit {self.code}, and {len(self.failures)} requests failed: {self.failures[0]}"
        if self.code == 0 or self.situation == "disabled step":
            return None
        return None if any(name in self.output for name in self.ensembles) else "refused, and no ensemble is named"


@dataclass
class Matrix:
    """Cells that share a server; each has models of its own, and a project folder in `folder`."""

    server: EmbeddedServer
    folder: Path
    run: Run
    number: Iterator[int] = field(default_factory=itertools.count)

    def cell(self, operation: str, situation: str) -> Result:
        """Serve a step and its ensembles, run the command under clients of these, and take all away again."""
        cell = _Cell(self, operation, situation, f"m{next(self.number)}")
        try:
            cell.set_up()
            with connect(self.server.grpc_url) as client:
                with asked_all_the_time(self.server.grpc_url, cell.ensembles) as failures:
                    code, output = cell.operate()
                lost = tuple(name for name in cell.ensembles if not _answers(client, name))
            return Result(operation, situation, code, output, cell.ensembles, lost, tuple(failures))
        finally:
            cell.clean_up()


@dataclass
class _Cell:
    matrix: Matrix
    operation: str
    situation: str
    tag: str

    @property
    def step(self) -> str:
        return f"{self.tag}_step"

    @property
    def ensembles(self) -> tuple[str, ...]:
        names = (f"{self.tag}_ensemble", f"{self.tag}_other_ensemble")
        return names if self.situation == "two ensembles on one step" else names[:1]

    @property
    def project(self) -> Path:
        return self.matrix.folder / self.tag

    @property
    def models_dir(self) -> Path:
        return self.matrix.server.models_dir

    def inv(self, *arguments: str) -> tuple[int, str]:
        environment = {
            "TRITON_MODELS_DIR": str(self.models_dir),
            "MODELS_TOML": str(self.project / "models.toml"),
            "TRITON_CONFIG_DIR": str(self.project / "triton-config"),
            "TRITON_URL": self.matrix.server.grpc_url,
        }
        return self.matrix.run(arguments, environment)

    def set_up(self) -> None:
        """Serve versions 1 and 2 of the step, and ensembles that pin version 1, or take the newest."""
        self.project.mkdir()
        for name in self.ensembles:
            pinned = self.situation in PINNED and not name.endswith("other_ensemble")
            text = ENSEMBLE.replace("STEP", self.step)
            self._write_config(name, text.replace("model_version: -1", f"model_version: {1 if pinned else -1}"))
        self._declare({1: affine(1, 1), 2: affine(1, 2)})
        if self.situation == "unmanaged ensemble":
            for name in self.ensembles:
                shutil.copytree(self.project / "ensemble", self.models_dir / name / "1")
                shutil.copy(
                    self.project / "triton-config" / name / "gpu.pbtxt", self.models_dir / name / "config.pbtxt"
                )
        self._require(*self.inv("triton.apply", "--include", ",".join((self.step, *self._managed))))
        for name in self.ensembles:
            self._require(*self.inv("triton.load", name))
        if self.situation == "disabled step":
            self._require(*self.inv("models.disable", self.step, "--yes"))

    def operate(self) -> tuple[int, str]:
        """Run the command, after the change of the disk or of models.toml that it is to serve."""
        step, other = self.step, "1" if self.situation not in PINNED else "2"
        gone = "2" if other == "1" else "1"
        if self.situation == "signature change":
            self._change_signature()
        match self.operation:
            case "serve":
                return self.inv("triton.serve", step, "--versions", other)
            case "load":
                config = self.models_dir / step / "config.pbtxt"
                if config.exists():
                    config.write_text(set_version_policy(config.read_text(), VersionPolicy.parse(other)))
                return self.inv("triton.load", step)
            case "load --version":
                if (self.models_dir / step).exists():
                    shutil.copytree(self.models_dir / step / "2", self.models_dir / step / "3")
                return self.inv("triton.load", step, "--version", "3")
            case "unload":
                return self.inv("triton.unload", step, "--yes")
            case "unload --version":
                return self.inv("triton.unload", step, "--version", gone, "--yes")
            case "apply":
                if self.situation != "signature change":
                    self._declare({int(other): affine(1, int(other)), 3: affine(1, 3)})
                return self.inv("triton.apply", "--include", step, "--yes")
            case "remove":
                return self.inv("models.remove", step, "--version", gone, "--files")
            case _:
                return self.inv("models.disable", step)

    def clean_up(self) -> None:
        with connect(self.matrix.server.grpc_url) as client:
            for name in (*self.ensembles, self.step):
                client.unload(name, timeout=30)
        for folder in (self.models_dir, self.models_dir.with_name(f"{self.models_dir.name}-disabled")):
            for name in (*self.ensembles, self.step):
                shutil.rmtree(folder / name, ignore_errors=True)

    @property
    def _managed(self) -> tuple[str, ...]:
        return () if self.situation == "unmanaged ensemble" else self.ensembles

    def _declare(self, versions: Mapping[int, onnx.ModelProto], tag: str = "") -> None:
        """Have models.toml list these versions of the step, and the ensembles unless they are unmanaged."""
        (self.project / "ensemble").mkdir(exist_ok=True)
        (self.project / "ensemble/empty").touch()
        entries = []
        for version, graph in versions.items():
            file = f"{version}{tag}.onnx"
            onnx.save_model(graph, self.project / file)
            entries.append(f"[[models.{self.step}]]\npath = {json.dumps(file)}\ntriton_version = {version}\n")
        for name in self._managed:
            source = 'path = "ensemble/empty"\nlocal_name = "empty"\n'
            entries.append(f"[[models.{name}]]\n{source}triton_version = 1\n")
        (self.project / "models.toml").write_text("\n".join(entries))
        self._write_config(self.step, config_pbtxt(next(iter(versions.values()))))

    def _write_config(self, name: str, text: str) -> None:
        folder = self.project / "triton-config" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "gpu.pbtxt").write_text(text)

    def _change_signature(self) -> None:
        """Give the step four values for three: on disk, or in models.toml where apply is to install it."""
        wider = {version: affine(1, version, width=4) for version in (1, 2)}
        if self.operation == "apply":
            self._declare(wider, "-wider")
            return
        for version, graph in wider.items():
            file = self.models_dir / self.step / str(version) / "model.onnx"
            onnx.save_model(graph, file.with_name("new"))
            file.with_name("new").replace(file)
        config = self.models_dir / self.step / "config.pbtxt"
        config.write_text(config.read_text().replace("dims: [3]", "dims: [4]"))

    @staticmethod
    def _require(code: int, output: str) -> None:
        assert code == 0, output


@contextmanager
def asked_all_the_time(url: str, names: Sequence[str]) -> Iterator[list[str]]:
    """Infer on models until the block ends, each from a thread of its own; the list fills with what failed."""
    failures: list[str] = []
    over = threading.Event()
    answered = [threading.Event() for _ in names]

    def ask(name: str, has_answered: threading.Event) -> None:
        with connect(url) as client:
            while not over.is_set():
                try:
                    infer(client, name)
                    has_answered.set()
                except TritonOpsError as exc:
                    failures.append(f"{name}: {exc}")

    threads = [threading.Thread(target=ask, args=pair) for pair in zip(names, answered, strict=True)]
    for thread in threads:
        thread.start()
    try:
        assert all(event.wait(20) for event in answered), failures
        yield failures
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _answers(client: TritonClient, name: str) -> bool:
    try:
        infer(client, name)
    except TritonOpsError:
        return False
    return True
