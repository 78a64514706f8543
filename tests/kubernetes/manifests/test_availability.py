"""Autoscaling on the requests that wait, and budgets for maintenance."""

import re

import pytest

from tests.kubernetes.projects import target
from tritonops.kubernetes.manifests.availability import autoscaler, disruption_budget, waiting_requests
from tritonops.kubernetes.manifests.versions import parse_version
from tritonops.kubernetes.targets.target import Autoscaling

KEDA = Autoscaling("keda", 1, 4, prometheus="http://prometheus:9090")


def one(found):
    (manifest,) = found
    return manifest["spec"]


def test_both_autoscalers_move_the_same_deployment_in_the_same_way():
    keda = one(autoscaler(target(autoscaling=KEDA), parse_version("1.34")))
    hpa = one(autoscaler(target(autoscaling=Autoscaling("hpa", 1, 4)), parse_version("1.34")))
    assert keda["scaleTargetRef"] == hpa["scaleTargetRef"]
    assert keda["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == hpa["behavior"]
    assert (keda["minReplicaCount"], keda["maxReplicaCount"]) == (hpa["minReplicas"], hpa["maxReplicas"]) == (1, 4)
    (trigger,) = keda["triggers"]
    assert (trigger["metricType"], trigger["metadata"]["threshold"]) == ("AverageValue", "1")
    (metric,) = hpa["metrics"]
    assert metric["pods"] == {
        "metric": {"name": "triton_waiting_requests"},
        "target": {"type": "AverageValue", "averageValue": "1"},
    }


@pytest.mark.parametrize(
    ("pod", "is_counted"),
    [
        ("a-triton-6d4f5b7c9-abcde", True),
        ("a-triton-x-triton-6d4f5b7c9-abcde", False),
        ("b-a-triton-6d4f5b7c9-abcde", False),
        ("a-triton-abcde", False),
    ],
)
def test_the_query_counts_the_pods_of_its_own_target_alone(pod, is_counted):
    query = waiting_requests(target("a", namespace="models"))
    assert query.startswith('sum(rate(nv_inference_queue_duration_us{namespace="models",pod=~"')
    assert query.endswith('"}[1m])) / 1e6')
    (pattern,) = re.findall('pod=~"(.*)"', query)
    assert bool(re.fullmatch(pattern, pod)) == is_counted


def test_without_bounds_there_is_no_autoscaler():
    assert autoscaler(target(), parse_version("1.34")) == []


@pytest.mark.parametrize(
    ("options", "version", "policy"),
    [
        ({"replicas": 2}, "1.34", "AlwaysAllow"),
        ({"replicas": 2}, "1.26", None),
        ({"replicas": 1, "autoscaling": KEDA}, "1.34", "AlwaysAllow"),
    ],
)
def test_maintenance_ends_one_pod_at_a_time(options, version, policy):
    spec = one(disruption_budget(target(**options), parse_version(version)))
    assert spec["maxUnavailable"] == 1
    assert spec.get("unhealthyPodEvictionPolicy") == policy


def test_one_pod_has_no_budget_which_would_keep_its_node_from_being_drained():
    assert disruption_budget(target(replicas=1), parse_version("1.34")) == []
