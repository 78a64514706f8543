"""How requests are put together: dynamic batching, priorities, sequences."""

import pytest

from tests.models.rules.subjects import codes, config
from tritonops.models.rules.scheduling import scheduling_problems


def control(kind, values="int32_false_true: [ 0, 1 ]"):
    return f'sequence_batching {{ control_input [ {{ name: "c" control [ {{ kind: {kind} {values} }} ] }} ] }}'


@pytest.mark.parametrize(
    ("append", "is_refused"),
    [
        ("", False),
        ("dynamic_batching { preferred_batch_size: [ 4, 8 ] }", False),
        ("dynamic_batching { preferred_batch_size: [ 16 ] }", True),
        ("dynamic_batching { preferred_batch_size: [ 0 ] }", True),
        ("dynamic_batching { priority_levels: 2 default_priority_level: 1 }", False),
        ("dynamic_batching { priority_levels: 2 default_priority_level: 3 }", True),
        ("dynamic_batching { priority_levels: 2 }", True),
        ("dynamic_batching { preserve_ordering: true priority_levels: 2 default_priority_level: 1 }", True),
        (control("CONTROL_SEQUENCE_START"), False),
        (control("CONTROL_SEQUENCE_START", ""), True),
        (control("CONTROL_SEQUENCE_CORRID", "data_type: TYPE_UINT64"), False),
        (control("CONTROL_SEQUENCE_CORRID", "data_type: TYPE_FP32"), True),
    ],
)
def test_a_scheduler_that_triton_refuses_is_found(append, is_refused):
    assert bool(codes(scheduling_problems(config(append=append)))) == is_refused
