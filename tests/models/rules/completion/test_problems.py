"""What a config lacks once the server has completed it."""

import pytest

from tests.models.rules.subjects import codes, model_folder, subject
from tritonops.models.rules.completion.missing_config import missing_config_problem
from tritonops.models.rules.completion.problems import completed_warmup_problems, completion_problems
from tritonops.models.rules.judged_server import embedded_server, server_of_image
from tritonops.triton_image import parse_image

X = '"x" data_type: TYPE_FP32 dims: [ 3 ]'
NO_INPUT = ('input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]\n', "")
NO_OUTPUT = ('output [ { name: "y" data_type: TYPE_FP32 dims: [ 3 ] } ]\n', "")
NO_BATCH = ("max_batch_size: 8", "")
WARMUP = (
    'model_warmup [ { name: "w" batch_size: 1 inputs { key: "x" '
    "value: { data_type: TYPE_FP32 dims: [ 3 ] zero_data: true } } } ]"
)


def backend(name):
    return ('"onnxruntime"', f'"{name}"')


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ((), []),
        ((NO_INPUT, NO_OUTPUT), []),
        ((NO_INPUT, NO_BATCH), ["batch-guessed"]),
        (((X, '"x"'),), ["tensor-without-dims", "tensor-without-type"]),
        ((backend("tensorrt"), (X, '"x"')), []),
        ((backend("tensorrt"), (X, '"" dims: [ 3 ]')), ["tensor-without-name"]),
        ((backend("pytorch"), NO_OUTPUT), ["no-outputs"]),
        ((backend("pytorch"), NO_INPUT), ["no-inputs"]),
        ((backend("dali"), NO_OUTPUT), []),
        ((backend("vllm"), NO_OUTPUT), ["vllm-config"]),
        ((backend("vllm"), NO_OUTPUT, NO_BATCH), []),
    ],
)
def test_on_a_server_that_completes_configs(tmp_path, edits, expected):
    assert codes(completion_problems(subject(*edits, home=model_folder(tmp_path)))) == expected


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ((), []),
        ((NO_OUTPUT,), ["no-outputs"]),
        ((NO_BATCH, NO_INPUT), []),
        (((X, '"x" data_type: TYPE_FP32'),), ["tensor-without-dims"]),
        ((backend("vllm"),), ["vllm-config"]),
    ],
)
def test_on_a_server_that_does_not(tmp_path, edits, expected):
    server = server_of_image(parse_image("26.07"), completes_configs=False)
    problems = [*completion_problems(subject(*edits, home=model_folder(tmp_path), server=server))]
    assert codes(problems) == expected
    assert all("--disable-auto-complete-config" in problem.why for problem in problems)


def test_the_embedded_triton_is_said_to_complete_nothing():
    (problem,) = completion_problems(subject(NO_OUTPUT, server=embedded_server()))
    assert problem.why.endswith("; the embedded Triton does not complete configs")


@pytest.mark.parametrize(("edits", "expected"), [((NO_INPUT,), []), ((NO_INPUT, ("max_batch_size", "# ")), [])])
def test_a_warmup_is_compared_with_the_completed_inputs(tmp_path, edits, expected):
    judged = subject(*edits, append=WARMUP, home=model_folder(tmp_path))
    assert codes(completed_warmup_problems(judged)) == expected
    bad = subject(*edits, append=WARMUP.replace("[ 3 ]", "[ 4 ]"), home=judged.home)
    assert codes(completed_warmup_problems(bad)) == ["warmup-input"]


@pytest.mark.parametrize(
    ("file", "image", "is_declared", "severity"),
    [
        ("model.onnx", "26.07", False, "warning"),
        ("model.onnx", "26.07", True, "error"),
        ("model.py", "26.07", False, "warning"),
        ("weights.bin", "26.07", False, "error"),
    ],
)
def test_a_model_without_a_config_is_served_where_something_completes_it(tmp_path, file, image, is_declared, severity):
    home = model_folder(tmp_path)
    (home / "1/model.onnx").rename(home / "1" / file)
    bare = subject(("backend", "# backend"), NO_BATCH, NO_INPUT, NO_OUTPUT, home=home, image=image)
    assert missing_config_problem(bare, is_declared=is_declared).severity == severity
    embedded = subject(("backend", "# backend"), home=home, server=embedded_server())
    assert missing_config_problem(embedded, is_declared=False).severity == "error"
