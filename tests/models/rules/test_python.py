"""Models of the Python backend."""

import pytest

from tests.models.rules.subjects import codes, subject
from tritonops.models.rules.python import python_problems

PYTHON = ('backend: "onnxruntime"', 'backend: "python"')
GOOD = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"


def home_of(tmp_path, source):
    home = tmp_path / "clip"
    (home / "1").mkdir(parents=True)
    (home / "1/model.py").write_text(source)
    return home


@pytest.mark.parametrize(
    ("source", "is_refused"),
    [
        (GOOD, False),
        ("from somewhere import TritonPythonModel\n", False),
        ("def broken(:\n", True),
        ("class Model:\n    pass\n", True),
    ],
)
def test_a_model_py_that_cannot_serve_is_found(tmp_path, source, is_refused):
    assert bool(codes(python_problems(subject(PYTHON, home=home_of(tmp_path, source))))) == is_refused


@pytest.mark.parametrize(
    ("path", "is_refused"),
    [
        ("$$TRITON_MODEL_DIRECTORY/env.tar.gz", False),
        ("$$TRITON_MODEL_DIRECTORY/none.tar.gz", True),
        ("env.tar.gz", True),
    ],
)
def test_an_environment_must_be_there_by_its_absolute_name(tmp_path, path, is_refused):
    home = home_of(tmp_path, GOOD)
    (home / "env.tar.gz").write_bytes(b"\x1f\x8b")
    append = f'parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{path}" }} }}'
    assert bool(codes(python_problems(subject(PYTHON, append=append, home=home)))) == is_refused
