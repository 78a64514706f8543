"""tritonops.testing as somebody else installs it: from a wheel, into an environment of its own."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tasks.shared.checkout import uv
from tests.paths import PROJECT
from tritonops.compose.build_cpu import CPU_IMAGE

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("package_index")]

DIGITS = PROJECT / "examples" / "digits"

# Each line is a failure that a person meets; none may send to the tasks, which are not in the wheel.
FAILURES = """
import os, pathlib, sys
from tritonops.errors import TritonOpsError
from tritonops.testing import TritonContainer

def fail(models_dir="triton", **options):
    try:
        TritonContainer(models_dir, **options).start()
    except TritonOpsError as exc:
        text = f"{type(exc).__name__}: {exc} ({exc.hint})"
        print(text.splitlines()[0])
        assert "inv " not in text and "compose." not in text and "server.up" not in text, text
        return text
    sys.exit("it started")

image = os.environ["TRITON_IMAGE"]
fail("nowhere", image=image)
fail(image="localhost/no-such-image")
assert "for memory: its limit is 30 MiB" in fail(image=image, mem_limit="30m", memswap_limit="30m")
fail(image=image, bind="203.0.113.9")
torn = pathlib.Path("torn/m/1")
torn.mkdir(parents=True)
(torn / "model.onnx").write_bytes(b"no graph")
fail("torn", image=image)
os.environ["DOCKER_HOST"] = "unix:///nowhere.sock"
fail(image=image)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An environment with nothing but the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("wheel")
    run(uv(), "build", "--quiet", "--wheel", "--out-dir", folder, PROJECT)
    (wheel,) = folder.glob("*.whl")
    run(uv(), "venv", "--quiet", "--no-project", "--python", sys.executable, folder / "venv")
    python = folder / "venv" / "bin" / "python"
    versions = ["--constraint", PROJECT / "requirements" / "dev.txt"]
    run(uv(), "pip", "install", "--quiet", "--python", python, *versions, f"tritonops[testing] @ {wheel.as_uri()}")
    return python


@pytest.fixture
def folder(tmp_path):
    """The folder of somebody's tests, with the digits example as `models.download` would lay it out."""
    (tmp_path / "triton" / "digits" / "1").mkdir(parents=True)
    shutil.copy(DIGITS / "digits.onnx", tmp_path / "triton" / "digits" / "1" / "model.onnx")
    shutil.copy(DIGITS / "triton-config" / "digits" / "cpu.pbtxt", tmp_path / "triton" / "digits" / "config.pbtxt")
    return tmp_path


def run(*command, **options):
    done = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_examples_of_the_docs_work(python, folder):
    text = (PROJECT / "docs" / "testing-your-models.md").read_text()
    conftest, test, options, script = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (folder / "conftest.py").write_text(conftest + options)
    (folder / "test_digits.py").write_text(test)
    environment = os.environ | {"TRITON_IMAGE": CPU_IMAGE}
    assert "1 passed" in run(python, "-m", "pytest", "-q", folder, cwd=folder, env=environment)
    run(python, "-c", script, cwd=folder, env=environment)


def test_what_fails_is_named_without_tasks_that_the_wheel_does_not_have(python, folder):
    shown = run(python, "-c", FAILURES, cwd=folder, env=os.environ | {"TRITON_IMAGE": CPU_IMAGE}).splitlines()
    assert [line.partition(":")[0] for line in shown] == [
        "InputError",
        "ImagePullError",
        "ServiceError",
        "DockerError",
        "ServiceError",
        "EngineUnreachableError",
    ]
