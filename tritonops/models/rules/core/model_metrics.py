"""model_metrics: what the core's ValidateModelMetrics refuses, and what metric_model_reporter.cc passes over."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.rules.finding import Problem

FAMILIES = ("nv_inference_first_response_histogram_ms",)
"""The metrics whose buckets a config may choose."""
_EXAMPLE = (
    f'write metric_control: [ {{ metric_identifier: {{ family: "{FAMILIES[0]}" }} '
    "histogram_options: { buckets: [ 10, 100, 1000 ] } } ]"
)


def model_metrics_problems(config: ModelConfig) -> Iterator[Problem]:
    """Find metrics that are defined in part, and those that Triton does not have."""
    for control in config.model_metrics.metric_control:
        if missing := _missing(control):
            yield Problem("model-metrics", missing, "Triton refuses it: 'must specify' or 'non-empty'", _EXAMPLE)
            continue
        family, buckets = control.metric_identifier.family, list(control.histogram_options.buckets)
        if family not in FAMILIES:
            yield _ignored(
                f"`model_metrics` names {family!r}", "Triton serves the model, and logs that it 'is not customizable'"
            )
        elif any(first >= second for first, second in pairwise(buckets)):
            yield _ignored(
                f"the buckets of {family!r} do not ascend",
                "with --metrics-config=histogram_latencies=true Triton crashes when it loads a decoupled model",
            )


def _missing(control: Any) -> str | None:
    if not control.HasField("metric_identifier") or not control.metric_identifier.family:
        return "a `metric_control` of `model_metrics` has no metric_identifier { family }"
    if not control.histogram_options.buckets:
        return "a `metric_control` of `model_metrics` has no histogram_options { buckets }"
    return None


def _ignored(what: str, why: str) -> Problem:
    return Problem("model-metrics", what, why, _EXAMPLE, "warning")
