"""How many pods there are, and how many of them maintenance of nodes may end at once."""

from __future__ import annotations

from tritonops.kubernetes.manifests.names import Manifest, main_name, manifest, metadata, selector
from tritonops.kubernetes.manifests.versions import ClusterVersion
from tritonops.kubernetes.targets.target import Autoscaling, Target

_UP = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 30}]}
_DOWN = {"stabilizationWindowSeconds": 300, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}
_BEHAVIOR = {"scaleUp": _UP, "scaleDown": _DOWN}
KEDA = "keda.sh/v1alpha1"
_WAITING = "1"
"""Requests that wait, for each pod: more of them call for another pod."""


def is_scaler(kind: str) -> bool:
    """Whether an object of this kind sets the replicas of a Deployment."""
    return kind in ("HorizontalPodAutoscaler", "ScaledObject")


def disruption_budget(target: Target, version: ClusterVersion) -> list[Manifest]:
    """Write the PodDisruptionBudget of a target with several replicas."""
    if target.most_replicas < 2 or not version.has((1, 21), "PodDisruptionBudget in policy/v1"):
        return []
    spec: Manifest = {"maxUnavailable": 1, "selector": {"matchLabels": selector(target)}}
    if version.has((1, 27), "unhealthyPodEvictionPolicy of the PodDisruptionBudget"):
        # A pod that does not become ready must not keep a node from being drained.
        spec["unhealthyPodEvictionPolicy"] = "AlwaysAllow"
    return [manifest("policy/v1", "PodDisruptionBudget", metadata(target, main_name(target)), spec=spec)]


def autoscaler(target: Target, version: ClusterVersion) -> list[Manifest]:
    """Write the object that moves the replicas; none where the target has no bounds for it."""
    scaling = target.autoscaling
    if scaling is None:
        return []
    if scaling.by == "keda":
        has_keda = version.has_api(KEDA, "ScaledObject, without which the replicas stay at min")
        return [_scaled_object(target, scaling)] if has_keda else []
    if version.has((1, 23), "HorizontalPodAutoscaler in autoscaling/v2, without which the replicas stay at min"):
        return [_pod_autoscaler(target, scaling)]
    return []


def waiting_requests(target: Target) -> str:
    """Write the query for the requests that wait, in all pods of the target.

    By Little's law their number is the time that they spend in queues per second. It adds up over models and pods, and
    divides by nothing. The name of a Deployment's pod has two parts behind the Deployment's.
    """
    pods = f"{main_name(target)}-[a-z0-9]+-[a-z0-9]+"
    series = f'nv_inference_queue_duration_us{{namespace="{target.namespace}",pod=~"{pods}"}}'
    return f"sum(rate({series}[1m])) / 1e6"


def _scaled_object(target: Target, scaling: Autoscaling) -> Manifest:
    trigger = {"serverAddress": scaling.prometheus, "query": waiting_requests(target), "threshold": _WAITING}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": main_name(target)},
        "minReplicaCount": scaling.min,
        "maxReplicaCount": scaling.max,
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _BEHAVIOR}},
        "triggers": [{"type": "prometheus", "metricType": "AverageValue", "metadata": trigger}],
    }
    return manifest(KEDA, "ScaledObject", metadata(target, main_name(target)), spec=spec)


def _pod_autoscaler(target: Target, scaling: Autoscaling) -> Manifest:
    metric = {"metric": {"name": scaling.metric}, "target": {"type": "AverageValue", "averageValue": _WAITING}}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": main_name(target)},
        "minReplicas": scaling.min,
        "maxReplicas": scaling.max,
        "metrics": [{"type": "Pods", "pods": metric}],
        "behavior": _BEHAVIOR,
    }
    return manifest("autoscaling/v2", "HorizontalPodAutoscaler", metadata(target, main_name(target)), spec=spec)
