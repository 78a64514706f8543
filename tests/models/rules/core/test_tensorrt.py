"""What only a TensorRT model may have."""

import pytest

from tests.models.rules.subjects import codes, subject
from tritonops.models.rules.core.tensorrt import tensorrt_problems

X = '"x" data_type: TYPE_FP32 dims: [ 3 ]'
PLAN = ('backend: "onnxruntime"', 'platform: "tensorrt_plan"')
TENSORRT = ('"onnxruntime"', '"tensorrt"')


@pytest.mark.parametrize("of", [PLAN, TENSORRT])
def test_shape_tensors_formats_and_profiles_are_for_tensorrt(of):
    shape = (X, f"{X} is_shape_tensor: true")
    linear = (X, f"{X.replace('[ 3 ]', '[ 3, 4, 4 ]')} is_non_linear_format_io: true")
    profile = ("kind: KIND_CPU", 'kind: KIND_GPU profile: [ "0" ]')
    assert codes(tensorrt_problems(subject(of, shape, profile))) == []
    assert codes(tensorrt_problems(subject(of, linear))) == []
    assert codes(tensorrt_problems(subject(shape, profile))) == ["tensorrt-only", "tensorrt-only"]
    assert codes(tensorrt_problems(subject(linear))) == ["tensorrt-only"]


@pytest.mark.parametrize(
    ("profile", "is_refused"), [("1", False), (" 2", False), ("-0", False), ("-1", True), ("a", True)]
)
def test_a_profile_is_a_number(profile, is_refused):
    group = ("kind: KIND_CPU", f'kind: KIND_GPU profile: [ "{profile}" ]')
    assert codes(tensorrt_problems(subject(PLAN, group))) == ["bad-profile"] * is_refused


def test_a_non_linear_format_has_three_dims():
    assert codes(tensorrt_problems(subject(PLAN, (X, f"{X} is_non_linear_format_io: true")))) == ["format-dims"]
