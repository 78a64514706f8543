"""The config that a server has, by backend."""

import pytest

from tests.models.rules.subjects import model_folder, subject
from tritonops.models.rules.completion.completed import complete
from tritonops.models.rules.judged_server import embedded_server, server_of_image
from tritonops.triton_image import parse_image

NO_INPUT = ('input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]\n', "")
NO_OUTPUT = ('output [ { name: "y" data_type: TYPE_FP32 dims: [ 3 ] } ]\n', "")


def backend(name):
    return ('"onnxruntime"', f'"{name}"')


@pytest.mark.parametrize(
    ("edits", "known"),
    [
        ((), (True, True)),
        ((NO_OUTPUT,), (False, True)),  # its graph is not on disk
        ((backend("pytorch"), NO_OUTPUT), (True, True)),
        ((backend("tensorrt"),), (True, True)),
        ((backend("tensorrt"), NO_INPUT), (False, True)),
        ((backend("tensorrt"), ("max_batch_size: 8", "")), (True, False)),
        ((backend("openvino"), ("max_batch_size: 8", "")), (True, False)),
        ((backend("dali"),), (False, True)),
        ((backend("python"),), (False, True)),  # its model.py is not on disk
    ],
)
def test_how_much_is_known_depends_on_the_backend(edits, known):
    completed = complete(subject(*edits))
    assert (completed.lists_known, completed.batch_known) == known


def test_a_graph_on_disk_completes_what_is_empty(tmp_path):
    completed = complete(subject(NO_INPUT, NO_OUTPUT, home=model_folder(tmp_path)))
    assert [completed.config.input[0].name, completed.config.output[0].name] == ["x", "y"]
    assert completed.lists_known


@pytest.mark.parametrize("server", [embedded_server(), server_of_image(parse_image("26.07"), completes_configs=False)])
def test_a_server_that_completes_nothing_has_what_is_written(tmp_path, server):
    judged = subject(NO_INPUT, home=model_folder(tmp_path), server=server)
    completed = complete(judged)
    assert (completed.config, completed.lists_known, completed.batch_known) == (judged.config, True, True)


def test_a_file_that_is_no_graph_and_a_source_that_is_no_python_tell_nothing(tmp_path):
    home = model_folder(tmp_path)
    (home / "1/model.onnx").write_text("<html>")
    (home / "1/model.py").write_text("def broken(:")
    assert not complete(subject(NO_INPUT, home=home)).lists_known
    assert not complete(subject(backend("python"), NO_INPUT, home=home)).lists_known


def test_what_a_method_refuses_is_kept_with_its_file(tmp_path):
    home = model_folder(tmp_path)
    body = "class TritonPythonModel:\n    @staticmethod\n    def auto_complete_config(config):\n        return None\n"
    (home / "1/model.py").write_text(body)
    completed = complete(subject(backend("python"), home=home))
    assert completed.refusal is not None
    assert str(home / "1/model.py") in completed.refusal
