"""The parameters that the ONNX Runtime backend reads."""

import pytest

from tests.models.rules.subjects import codes, subject
from tritonops.models.rules.judged_server import embedded_server
from tritonops.models.rules.onnx.parameters import onnx_backend_problems


def parameter(name, value):
    return f'parameters {{ key: "{name}" value: {{ string_value: "{value}" }} }}'


@pytest.mark.parametrize(
    ("name", "value", "nvidia", "embedded"),
    [
        ("intra_op_thread_count", "4", None, None),
        ("intra_op_thread_count", "-1", None, "error"),
        ("intra_op_thread_count", " 4", None, "error"),
        ("intra_op_thread_count", "4 threads", "warning", "error"),
        ("inter_op_thread_count", "many", "error", "error"),
        ("inter_op_thread_count", "99999999999", "error", "error"),
        ("execution_mode", "1", None, None),
        ("execution_mode", "2", "error", "error"),
        ("execution_mode", "parallel", "error", "error"),
        ("enable_mem_arena", "False", None, None),
        ("enable_mem_pattern", "no", "error", "warning"),
        ("cudnn_conv_algo_search", "3", "error", None),
        ("arena_extend_strategy", "1", None, None),
        ("team", "vision", None, None),
        ("Intra_Op_Thread_Count", "4", "warning", "warning"),
    ],
)
def test_values_are_judged_as_the_backend_of_the_server_reads_them(name, value, nvidia, embedded):
    gpu = ("kind: KIND_CPU", "kind: KIND_GPU")
    for judged, expected in (
        (subject(gpu, append=parameter(name, value)), nvidia),
        (subject(append=parameter(name, value), server=embedded_server()), embedded),
    ):
        found = [*onnx_backend_problems(judged)]
        assert [problem.severity for problem in found] == ([expected] if expected else []), found


@pytest.mark.parametrize(("level", "expected"), [(-1, []), (2, []), (3, ["graph-level"])])
def test_a_graph_level_is_one_of_four(level, expected):
    found = subject(append=f"optimization {{ graph {{ level: {level} }} }}")
    assert codes(onnx_backend_problems(found)) == expected


def test_other_backends_read_other_parameters():
    found = subject(('"onnxruntime"', '"python"'), append=parameter("execution_mode", "parallel"))
    assert codes(onnx_backend_problems(found)) == []
