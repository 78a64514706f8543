"""A start that hangs or crashes: what does it is found by the log and by calls, and the others are served."""

import pytest

from tests.compose.projects import write_slow_model
from tests.onnx_models import affine, write_model
from tests.server.python_models import python_model
from tritonops.errors import ServiceError
from tritonops.triton.startup.exclude_file import ExcludeFile

pytestmark = pytest.mark.docker
MODEL_TIMEOUT = 30.0  # a good one may take long on a busy machine


def test_of_many_that_hang_at_once_the_others_are_served(project):
    """Triton loads four at a time: the log cannot tell what hangs from what waits for its turn."""
    for number in range(6):
        write_slow_model(project.models_dir, f"endless{number}", load=1_000_000)
        write_slow_model(project.models_dir, f"good{number}")
    served = project.up(model_timeout=MODEL_TIMEOUT)
    good = {"first", *(f"good{number}" for number in range(6))}
    assert project.serving() == good
    hung = {row.name for row in served.models if f"still loading after {MODEL_TIMEOUT:g} s" in (row.reason or "")}
    assert hung == {f"endless{number}" for number in range(6)} == ExcludeFile(project.models_dir).reasons().keys()


# Nothing of a container may kill its process 1, so Triton gets another number by `init`.
CRASH = (
    "import os, signal, time; [os.kill(int(pid), signal.SIGSEGV) for pid in os.listdir('/proc') "
    "if pid.isdigit() and open(f'/proc/{pid}/comm').read() == 'tritonserver\\n']; time.sleep(60)"
)


def test_what_crashes_the_server_is_found_and_left_out_and_nothing_else(project, tmp_path):
    """Nobody could know before: all that were being loaded are loaded by calls then, at last each by itself."""
    for name in ("a", "c", "e"):
        write_model(project.models_dir, name, {1: affine(3)})
    for name in ("b", "d"):
        python_model(project.models_dir, name, initialize=CRASH)
    init = tmp_path / "init.yml"
    init.write_text("services:\n  triton:\n    init: true\n")
    served = project.up(init)
    rows = {row.name: row for row in served.models}
    assert {name for name, row in rows.items() if row.state == "READY"} == {"a", "c", "e", "first"}
    for name in ("b", "d"):
        assert "Triton crashed while it loaded this model" in str(rows[name].reason)
    assert ExcludeFile(project.models_dir).reasons().keys() == {"b", "d"}


def test_an_ensemble_of_a_model_that_is_left_out_is_left_out_with_it(project):
    python_model(project.models_dir, "broken").joinpath("1", "model.py").unlink()
    folder = project.models_dir / "both"
    (folder / "1").mkdir(parents=True)
    step = 'step {{ model_name: "{}" model_version: -1 input_map {{ key: "x" value: "{}" }} ' + (
        'output_map {{ key: "y" value: "{}" }} }}'
    )
    folder.joinpath("config.pbtxt").write_text(
        'platform: "ensemble"\n'
        'input { name: "x" data_type: TYPE_FP32 dims: [ 3 ] }\noutput { name: "y" data_type: TYPE_FP32 dims: [ 3 ] }\n'
        f"ensemble_scheduling {{ {step.format('first', 'x', 'z')} {step.format('broken', 'z', 'y')} }}\n"
    )
    served = project.up()
    assert project.serving() == {"first"}
    assert "its step broken would be loaded with it" in str({row.name: row for row in served.models}["both"].reason)


def test_a_start_command_that_does_not_read_the_exclude_file_is_named(project, tmp_path):
    python_model(project.models_dir, "broken").joinpath("1", "model.py").unlink()
    other = tmp_path / "other.yml"
    command = (
        "tritonserver --model-repository=/models --model-control-mode=explicit --load-model=* --exit-on-error=false"
    )
    other.write_text(f"services:\n  triton:\n    command: {command}\n")
    with pytest.raises(ServiceError, match=r"(?s)broken: .*Failed to preinitialize") as raised:
        project.up(other)
    assert "this service has its own" in str(raised.value.hint)
