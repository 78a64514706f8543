"""Compose projects of tests: ml.yml on the small CPU image, with names, ports and models of their own."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.onnx_models import affine, write_model
from tests.paths import PROJECT
from tritonops.compose import service
from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.compose.commands import Compose
from tritonops.compose.service import Service
from tritonops.compose.serving import ServingResult
from tritonops.errors import TritonOpsError
from tritonops.project import Project
from tritonops.server.ports import free_ports
from tritonops.triton.client.client import connect


@dataclass
class ComposeProject:
    """One service, and what it is asked to serve."""

    models_dir: Path
    variables: dict[str, str]
    lines: list[str] = field(default_factory=list)
    """What the commands of this project told their user."""

    @classmethod
    def at(cls, folder: Path, *models: str) -> ComposeProject:
        """Make one in an empty folder; each model multiplies by 3."""
        models_dir = folder / "triton"
        models_dir.mkdir()
        for model in models:
            write_model(models_dir, model, {1: affine(3)})
        ports = free_ports()
        variables = {
            "COMPOSE_PROJECT_NAME": f"tritonops-test-{uuid.uuid4().hex[:12]}",
            "TRITON_MODELS_DIR": str(models_dir),
            "TRITON_IMAGE": CPU_IMAGE,
            "TRITON_EXPOSE_HTTP": str(ports.http),
            "TRITON_EXPOSE_GRPC": str(ports.grpc),
            "TRITON_EXPOSE_METRICS": str(ports.metrics),
            "RESTART_POLICY": "unless-stopped",
        }
        return cls(models_dir, variables)

    @property
    def name(self) -> str:
        """The name that Compose knows it by."""
        return self.variables["COMPOSE_PROJECT_NAME"]

    def service(self, *files: Path, base: str = "ml.yml", **changed: str) -> Service:
        """The service as the tasks would choose it, with some variables changed, and with more files."""
        variables = self.variables | changed
        chosen = Service.of(Project.load(PROJECT, environ=variables, env_file=False), cpu=True)
        docker = replace(chosen.docker, variables=variables)
        return replace(chosen, docker=docker, compose=Compose((PROJECT / base, *files)))

    def up(
        self,
        *files: Path,
        base: str = "ml.yml",
        recreate: bool = False,
        model_timeout: float | None = None,
        **changed: str,
    ) -> ServingResult:
        """Start it, from the library."""
        self.lines.clear()
        chosen = self.service(*files, base=base, **changed)
        return service.up(chosen, watch=self.lines.append, timeout=300, model_timeout=model_timeout, recreate=recreate)

    def start_inv(self, *arguments: str, **changed: str) -> subprocess.Popen[str]:
        """Start a task as a person would, in a process group of its own."""
        return subprocess.Popen(
            [str(PROJECT / "inv"), *arguments],
            cwd=PROJECT,
            env=os.environ | self.variables | changed,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def inv(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run a task to its end."""
        with self.start_inv(*arguments, **changed) as process:
            stdout, stderr = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def containers(self) -> list[dict[str, Any]]:
        """Inspect all that the engine has of it, whatever its state."""
        label = f"label=com.docker.compose.project={self.name}"
        found = docker("ps", "--all", "--quiet", "--filter", label).split()
        return json.loads(docker("inspect", *found)) if found else []

    def container(self) -> dict[str, Any]:
        """Inspect its only container."""
        (container,) = self.containers()
        return container

    def serving(self, *, token: str | None = None) -> set[str]:
        """Ask Triton itself for the models that are READY; none where nothing answers."""
        try:
            with connect(f"127.0.0.1:{self.variables['TRITON_EXPOSE_GRPC']}", token=token) as client:
                return {row.name for row in client.index() if row.state == "READY"}
        except TritonOpsError:
            return set()


def identity(project: ComposeProject) -> tuple[str, str, str]:
    """Give the id and the name of its container, and the moment at which its program was started."""
    found = project.container()
    return found["Id"], found["Name"], found["State"]["StartedAt"]


def infer(project: ComposeProject, model: str) -> list[float]:
    """Ask a model for the triple of ones."""
    import numpy as np
    from tritonclient import grpc

    with grpc.InferenceServerClient(f"127.0.0.1:{project.variables['TRITON_EXPOSE_GRPC']}") as client:
        tensor = grpc.InferInput("x", [3], "FP32")
        tensor.set_data_from_numpy(np.ones(3, np.float32))
        answer: list[float] = client.infer(model, [tensor]).as_numpy("y").tolist()
        return answer


def docker(*arguments: str, check: bool = True) -> str:
    """Run docker for a test and return its stdout."""
    done = subprocess.run(["docker", *arguments], check=check, capture_output=True, text=True)
    return done.stdout


def remove_project(name: str) -> None:
    """Remove what a Compose project has in the engine."""
    mine = ["--filter", f"label=com.docker.compose.project={name}"]
    if found := docker("ps", "--all", "--quiet", *mine).split():
        docker("rm", "--force", "--volumes", *found)
    for kind in ("network", "volume"):
        if found := docker(kind, "ls", "--quiet", *mine).split():
            docker(kind, "rm", *found, check=False)  # a throw-away container may be on its way out still


def write_slow_model(models_dir: Path, name: str, *, load: float = 0, infer: float = 0) -> None:
    """Write a model that takes these seconds to load, and to answer."""
    folder = models_dir / name / "1"
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(
        "import time\n"
        "import triton_python_backend_utils as pb_utils\n"
        "class TritonPythonModel:\n"
        "    def initialize(self, args):\n"
        f"        time.sleep({load})\n"
        "    def execute(self, requests):\n"
        f"        time.sleep({infer})\n"
        "        tensors = [pb_utils.get_input_tensor_by_name(request, 'x').as_numpy() for request in requests]\n"
        "        outputs = [pb_utils.Tensor('y', tensor * 3) for tensor in tensors]\n"
        "        return [pb_utils.InferenceResponse([output]) for output in outputs]\n"
    )
    (models_dir / name / "config.pbtxt").write_text(
        f'name: "{name}"\nbackend: "python"\n'
        'input { name: "x" data_type: TYPE_FP32 dims: [ 3 ] }\noutput { name: "y" data_type: TYPE_FP32 dims: [ 3 ] }\n'
    )
