"""Metrics that a config defines."""

import pytest

from tests.models.rules.subjects import config
from tritonops.models.rules.core.model_metrics import FAMILIES, model_metrics_problems


@pytest.mark.parametrize(
    ("family", "buckets", "severity"),
    [
        (FAMILIES[0], "1, 2, 5", None),
        ("", "1, 2", "error"),
        (FAMILIES[0], "", "error"),
        ("nv_other", "1, 2", "warning"),
        (FAMILIES[0], "2, 1", "warning"),
    ],
)
def test_a_metric_needs_a_known_family_and_ascending_buckets(family, buckets, severity):
    identifier = f'metric_identifier: {{ family: "{family}" }}' if family else ""
    control = f"{identifier} histogram_options: {{ buckets: [ {buckets} ] }}"
    found = [*model_metrics_problems(config(append=f"model_metrics {{ metric_control: [ {{ {control} }} ] }}"))]
    assert [problem.severity for problem in found] == ([severity] if severity else [])
