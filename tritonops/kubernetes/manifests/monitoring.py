"""How Prometheus finds the pods, where its operator runs."""

from __future__ import annotations

from tritonops.kubernetes.manifests.names import Manifest, main_name, manifest, metadata, selector
from tritonops.kubernetes.manifests.versions import ClusterVersion
from tritonops.kubernetes.targets.target import Target

PROMETHEUS = "monitoring.coreos.com/v1"


def pod_monitor(target: Target, version: ClusterVersion) -> list[Manifest]:
    """Write the PodMonitor; none where the target asks for none."""
    if not target.pod_monitor or not version.has_api(PROMETHEUS, "PodMonitor"):
        return []
    endpoint = {"port": "metrics", "path": "/metrics", "interval": "15s"}
    spec = {"selector": {"matchLabels": selector(target)}, "podMetricsEndpoints": [endpoint]}
    return [manifest(PROMETHEUS, "PodMonitor", metadata(target, main_name(target)), spec=spec)]
