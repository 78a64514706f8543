"""A config against its ONNX graph."""

import pytest

from tests.models.rules.subjects import codes, model_folder, subject
from tests.onnx_models import external_weights
from tritonops.models.rules.onnx.graph import graph_problems

X = '"x" data_type: TYPE_FP32 dims: [ 3 ]'


@pytest.mark.parametrize(
    ("edit", "is_refused"),
    [
        (("max_batch_size: 8", "max_batch_size: 8"), False),
        ((X, '"x" data_type: TYPE_INT32 dims: [ 3 ]'), True),
        ((X, '"x" data_type: TYPE_FP32 dims: [ 4 ]'), True),
        ((X, '"x" data_type: TYPE_FP32 dims: [ -1 ]'), True),
        ((X, '"z" data_type: TYPE_FP32 dims: [ 3 ]'), True),
        (('name: "y"', 'name: "z"'), True),
    ],
)
def test_tensors_are_compared_with_the_graph_s(tmp_path, edit, is_refused):
    assert bool(codes(graph_problems(subject(edit, home=model_folder(tmp_path))))) == is_refused


def test_a_file_that_is_no_graph_is_called_so(tmp_path):
    home = model_folder(tmp_path)
    (home / "1/model.onnx").write_text("<html>")
    (problem,) = graph_problems(subject(home=home))
    assert problem.code == "not-onnx"
    assert problem.fix == "`inv models.download clip --verify` replaces a damaged file by the pinned one"


def test_weights_outside_of_the_file_must_be_there_whole(tmp_path):
    home = model_folder(tmp_path)
    (home / "1/model.onnx").unlink()
    external_weights([1.0, 2.0, 3.0], home / "1/model.onnx")
    assert codes(graph_problems(subject(home=home))) == []
    (weights,) = [path for path in (home / "1/model.onnx").iterdir() if path.suffix != ".onnx"]
    weights.write_bytes(weights.read_bytes()[:-1])
    assert codes(graph_problems(subject(home=home))) != []
