"""Configs of TorchScript models, against what the PyTorch backend takes."""

import pytest

from tests.models.rules.subjects import codes, subject
from tritonops.models.rules.pytorch import pytorch_problems

PT = ('backend: "onnxruntime"', 'platform: "pytorch_libtorch"')
X, Y = '"x" data_type: TYPE_FP32', '"y" data_type: TYPE_FP32'
CONTROL = 'control_input [ {{ name: "{}" control [ {{ kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] }} ] }} ]'
STATE = 'state [ {{ input_name: "{}" output_name: "{}" data_type: TYPE_FP32 dims: [ 1 ] }} ]'
NAMED = ((X, '"x__0" data_type: TYPE_FP32'), (Y, '"y__0" data_type: TYPE_FP32'))


def found(*edits, sequence=""):
    append = f"sequence_batching {{ {sequence} }}" if sequence else ""
    return codes(pytorch_problems(subject(PT, *edits, append=append)))


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ((), []),
        (((X, '"x" data_type: TYPE_UINT32'),), ["pytorch-type"]),
        (((Y, '"y" data_type: TYPE_UINT64'),), ["pytorch-type"]),
        (((X, '"x" data_type: TYPE_UINT8'),), []),
        (((X, '"x" data_type: TYPE_STRING'),), ["pytorch-strings"]),
        (((X, '"x" data_type: TYPE_STRING'), ("max_batch_size: 8", "max_batch_size: 0")), []),
        (((f"{X} dims: [ 3 ]", '"x" data_type: TYPE_STRING dims: [ 1 ] reshape { }'),), []),
    ],
)
def test_types_and_strings_that_the_backend_does_not_take_are_found(edits, expected):
    assert found(*edits) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("START__1", []), ("START", ["pytorch-name"]), ("START__one", ["pytorch-name"]), ("a__", [])]
)
def test_controls_need_an_index_in_their_names(name, expected):
    assert found(sequence=CONTROL.format(name)) == expected


def test_beside_states_every_tensor_needs_one():
    assert found(*NAMED, sequence=STATE.format("s__1", "s__1")) == []
    assert found(*NAMED, sequence=STATE.format("s__1", "s")) == ["pytorch-name"]
    assert found(sequence=STATE.format("s__1", "s__1")) == ["pytorch-name", "pytorch-name"]


def test_other_backends_and_python_models_of_pytorch_are_not_judged():
    other = (X, '"x" data_type: TYPE_UINT32')
    assert codes(pytorch_problems(subject(other))) == []
    assert codes(pytorch_problems(subject(PT, other, append='runtime: "model.py"'))) == []
    assert codes(pytorch_problems(subject((PT[0], 'platform: "torch_aoti"'), other))) == []
