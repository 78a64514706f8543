"""Fields that came with a release."""

import pytest

from tests.models.rules.subjects import codes, subject
from tritonops.models.rules.core.release_fields import release_field_problems

METRICS = 'model_metrics { metric_control: [ { metric_identifier: { family: "a" } } ] }'
NESTED = "sequence_batching { state [ { use_growable_memory: true } ] oldest { preserve_ordering: true } }"
FLIGHT = 'ensemble_scheduling { max_inflight_requests: 4 step [ { model_namespace: "a" } ] }'


@pytest.mark.parametrize(
    ("append", "image", "fields"),
    [
        (METRICS, "24.10", ["model_metrics"]),
        (METRICS, "24.11", []),
        ('runtime: "model.py"', "23.12", ["runtime"]),
        (NESTED, "23.07", ["use_growable_memory", "preserve_ordering"]),
        (NESTED, "23.11", []),
        (FLIGHT, "25.10", ["max_inflight_requests"]),
        (FLIGHT, "23.02", ["max_inflight_requests", "model_namespace"]),
        (METRICS + FLIGHT, "own:1", []),
        ('parameters { key: "a" value: { string_value: "b" } } metric_tags { key: "a" value: "b" }', "23.01", []),
    ],
)
def test_a_field_is_unknown_to_the_releases_before_it(append, image, fields):
    problems = [*release_field_problems(subject(append=append, image=image))]
    assert {problem.what.split("`")[1] for problem in problems} == set(fields)
    assert set(codes(problems)) <= {"field-too-new"}
