"""tritonops.testing as somebody else installs it: from a wheel, into an environment of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.cli import uv
from tests.onnx_models import affine, write_model
from tritonops.compose.image import CPU_IMAGE

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("package_index")]
PROJECT = Path(__file__).parents[2]

CONFTEST = """
import pathlib
import pytest

pytest_plugins = ["tritonops.testing.fixtures"]

@pytest.fixture(scope="session")
def triton_models_dir():
    return pathlib.Path(__file__).parent / "models"
"""

TEST = """
import numpy as np
import tritonclient.grpc as grpc

def test_my_model_triples(triton_container):
    with grpc.InferenceServerClient(triton_container.grpc_address) as client:
        tensor = grpc.InferInput("x", [1, 3], "FP32")
        tensor.set_data_from_numpy(np.ones((1, 3), np.float32))
        assert client.infer("tripled", [tensor]).as_numpy("y").tolist() == [[3, 3, 3]]
"""


def run(*command, **options):
    done = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_fixtures_work_from_a_wheel_in_a_clean_environment(tmp_path):
    run(uv(), "build", "--quiet", "--wheel", "--out-dir", tmp_path, PROJECT)
    (wheel,) = tmp_path.glob("*.whl")
    run(uv(), "venv", "--quiet", "--no-project", "--python", sys.executable, tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    versions = ["--constraint", PROJECT / "requirements" / "dev.txt"]
    run(uv(), "pip", "install", "--quiet", "--python", python, *versions, f"tritonops[testing] @ {wheel.as_uri()}")
    tests = tmp_path / "tests"
    write_model(tests / "models", "tripled", {1: affine(3)})
    (tests / "conftest.py").write_text(CONFTEST)
    (tests / "test_mine.py").write_text(TEST)
    environment = os.environ | {"TRITON_IMAGE": CPU_IMAGE}
    assert "1 passed" in run(python, "-m", "pytest", "-q", tests, cwd=tests, env=environment)
