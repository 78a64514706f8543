"""Warm-up samples against the inputs that a config declares."""

import pytest

from tests.models.rules.subjects import subject
from tritonops.models.rules.warmup import warmup_problems

GOOD = 'inputs { key: "x" value { data_type: TYPE_FP32 dims: [ 3 ] zero_data: true } }'


def found(sample):
    return [(each.code, each.severity) for each in warmup_problems(subject(append=f"model_warmup {{ {sample} }}"))]


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (f"batch_size: 8 {GOOD}", []),
        (f"batch_size: 9 {GOOD}", [("warmup-batch", "error")]),
        (f"batch_size: 1 {GOOD.replace('zero_data: true', '')}", [("warmup-input", "error")]),
        ("batch_size: 1", [("warmup-input", "error")]),
        (GOOD, [("warmup-skipped", "warning")]),
        ("", [("warmup-skipped", "warning")]),
    ],
)
def test_a_sample_that_fails_is_an_error_and_one_that_is_skipped_a_warning(sample, expected):
    assert found(sample) == expected
