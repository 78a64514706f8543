"""How clients reach the pods: Services, and who may call them."""

from __future__ import annotations

from tritonops.kubernetes.manifests.containers import GRPC_PORT, HTTP_PORT, METRICS_PORT
from tritonops.kubernetes.manifests.names import (
    Manifest,
    client_label,
    main_name,
    manifest,
    metadata,
    pods_service,
    selector,
)
from tritonops.kubernetes.manifests.versions import ClusterVersion
from tritonops.kubernetes.targets.target import Target

_NAMESPACE = "kubernetes.io/metadata.name"
"""The label that each namespace has by itself since 1.21."""


def services(target: Target) -> list[Manifest]:
    """Write the Service with one address, and the headless one with the address of each pod."""
    # Server-side apply finds items of a list by their keys, of which the protocol is one: old clusters have no default.
    ports = [{"name": name, **_tcp(port), "targetPort": name} for name, port in _client_ports(target)]
    return [
        manifest(
            "v1",
            "Service",
            metadata(target, name),
            spec={**address, "selector": selector(target), "ports": ports},
        )
        for name, address in ((main_name(target), {"type": "ClusterIP"}), (pods_service(target), {"clusterIP": "None"}))
    ]


def network_policy(target: Target, version: ClusterVersion) -> Manifest:
    """Write who may open a connection to the pods: labelled clients, and the namespace of Prometheus."""
    version.has((1, 21), f"the label {_NAMESPACE} of namespaces, which the NetworkPolicy selects by: set it yourself")
    clients = {"matchLabels": {client_label(target): "true"}}
    senders: list[Manifest] = [{"podSelector": clients}]
    senders += [{"namespaceSelector": _namespace(name), "podSelector": clients} for name in target.client_namespaces]
    rules = [
        {"from": senders, "ports": [_tcp(port) for _, port in _client_ports(target)]},
        {"from": [{"namespaceSelector": _namespace(target.monitoring_namespace)}], "ports": [_tcp(METRICS_PORT)]},
    ]
    spec = {"podSelector": {"matchLabels": selector(target)}, "policyTypes": ["Ingress"], "ingress": rules}
    return manifest("networking.k8s.io/v1", "NetworkPolicy", metadata(target, main_name(target)), spec=spec)


def _client_ports(target: Target) -> list[tuple[str, int]]:
    return [("grpc", GRPC_PORT), *([("http", HTTP_PORT)] if target.http else [])]


def _namespace(name: str) -> Manifest:
    return {"matchLabels": {_NAMESPACE: name}}


def _tcp(port: int) -> Manifest:
    return {"protocol": "TCP", "port": port}
