"""Execution accelerators of ONNX models."""

import pytest

from tests.models.rules.subjects import subject
from tritonops.models.rules.judged_server import embedded_server
from tritonops.models.rules.onnx.accelerators import accelerator_problems

GPU = ("kind: KIND_CPU", "kind: KIND_GPU")


def accelerator(name, kind="gpu", **parameters):
    listed = " ".join(f'parameters {{ key: "{key}" value: "{value}" }}' for key, value in parameters.items())
    accelerators = f'{kind}_execution_accelerator: [ {{ name: "{name}" {listed} }} ]'
    return f"optimization {{ execution_accelerators {{ {accelerators} }} }}"


@pytest.mark.parametrize(
    ("append", "code", "fix"),
    [
        (accelerator("tensorrt"), None, ""),
        (accelerator("cuda", use_tf32="1", an_option_of_later="1"), None, ""),
        (accelerator("openvino", "cpu"), None, ""),
        (accelerator("TensorRT"), "unknown-accelerator", "Did you mean 'tensorrt'?"),
        (accelerator("openvino"), "unknown-accelerator", "it belongs into cpu_execution_accelerator"),
        (accelerator("tensorrt", "cpu"), "unknown-accelerator", "it belongs into gpu_execution_accelerator"),
        (accelerator("openvin", "cpu"), "unknown-accelerator", "Did you mean 'openvino'?"),
        (accelerator("tensorrt", precision_mode="FP16", trt_dla_enable="On", trt_dla_core="1"), None, ""),
        (accelerator("tensorrt", precision_mode="fp16"), "accelerator-parameter", "write FP32, FP16 or INT8"),
        (accelerator("tensorrt", trt_dla_enable="yes"), "accelerator-parameter", "write true or false"),
        (accelerator("tensorrt", trt_dla_core="one"), "accelerator-parameter", "write a whole number"),
        (accelerator("tensorrt", max_cached_engines="5"), "accelerator-parameter", "only the TensorFlow backend"),
        (accelerator("tensorrt", max_workspace_size="5"), "accelerator-parameter", "Did you mean"),
        (accelerator("cuda", gpu_mem_limits="5"), "accelerator-parameter", "Did you mean 'gpu_mem_limit'?"),
    ],
)
def test_accelerators_and_their_parameters_are_those_of_the_backend(append, code, fix):
    found = [*accelerator_problems(subject(GPU, append=append))]
    assert [(problem.code, problem.severity) for problem in found] == ([(code, "error")] if code else [])
    assert all(problem.fix.startswith(fix) for problem in found)


def test_accelerators_for_gpus_are_not_read_on_the_cpu_nor_any_by_the_embedded_server():
    wrong = accelerator("tensorrtt")
    assert [problem.severity for problem in accelerator_problems(subject(append=wrong))] == ["warning"]
    assert [problem.severity for problem in accelerator_problems(subject(GPU, append=wrong, gpus=0))] == ["warning"]
    wrong = accelerator("openvin", "cpu")
    embedded = subject(append=wrong, server=embedded_server())
    assert [problem.severity for problem in accelerator_problems(embedded)] == ["warning"]
