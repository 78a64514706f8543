"""Which Kubernetes a cluster is."""

from __future__ import annotations

from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.manifests.versions import ClusterVersion, parse_version
from tritonops.kubernetes.targets.target import Target


def cluster_version(kubectl: Kubectl, target: Target) -> ClusterVersion:
    """Ask for the version and, where the target needs custom resources, for the APIs that the cluster has."""
    version = kubectl.server_version()
    needs_custom = target.pod_monitor or (target.autoscaling and target.autoscaling.by == "keda")
    apis = frozenset(kubectl.output(["api-versions"]).split()) if needs_custom else None
    return parse_version(version, apis, source=f"the cluster of the context {target.context}")
