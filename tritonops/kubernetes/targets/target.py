"""One target of kubernetes.toml: a cluster's namespace, and how Triton runs there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tritonops.models.catalog.placement import is_for
from tritonops.models.configs.variants import Variant

METRIC = "triton_waiting_requests"
"""The metric that an autoscaler of kind "hpa" reads by default; docs/kubernetes.md has its rule."""


@dataclass(frozen=True)
class Key:
    """A key of a Secret or a ConfigMap in the target's namespace."""

    name: str
    key: str


@dataclass(frozen=True)
class Autoscaling:
    """The bounds of the replicas, and who moves them."""

    by: Literal["keda", "hpa"]
    min: int
    max: int
    prometheus: str | None = None
    """The address that KEDA asks."""
    metric: str = METRIC
    """The metric of each pod that the HorizontalPodAutoscaler reads."""


@dataclass(frozen=True)
class Toleration:
    """A taint that the pods tolerate; the fields are Kubernetes' own."""

    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    seconds: int | None = None


@dataclass(frozen=True)
class Downloads:
    """How the init container reaches the sources of models."""

    hf_endpoint: str | None = None
    https_proxy: str | None = None
    http_proxy: str | None = None
    no_proxy: str | None = None
    ca: Key | None = None
    """The ConfigMap's key with the certificate authorities to trust."""


@dataclass(frozen=True)
class Secrets:
    """The Secrets that pods refer to; their values are never read here."""

    hf_token: Key | None = None
    triton_token: Key | None = None
    image_pull: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """Where and how a release runs; the defaults are those of kubernetes.toml."""

    name: str
    context: str
    namespace: str
    image: str
    """Triton's, by digest."""
    init_image: str
    """The image of tritonops, by digest."""
    groups: tuple[str, ...] = ()
    gpus: int = 1
    """For each pod; 0 serves the CPU configs."""
    gpu_resource: str = "nvidia.com/gpu"
    replicas: int = 1
    autoscaling: Autoscaling | None = None
    spare: bool = False
    """Whether one pod more than the replicas fits into the cluster."""
    cpu: str | None = None
    memory: str | None = None
    shared_memory: str = "1Gi"
    claim: str | None = None
    """A PersistentVolumeClaim that keeps the models."""
    host_path: str | None = None
    """A folder of each node that keeps the models."""
    models_image: str | None = None
    """The image that has the models, by digest, for clusters with image volumes."""
    init_sources: str | None = None
    """The folder of the init image that has the files of `path` sources."""
    start_seconds: int | None = None
    longest_request: int = 5
    """Seconds that a request over gRPC may take: channels end every two seconds, and their requests get this long."""
    http: bool = False
    """Whether clients may use HTTP, too."""
    client_namespaces: tuple[str, ...] = ()
    monitoring_namespace: str = "monitoring"
    pod_monitor: bool = False
    secrets: Secrets = Secrets()
    downloads: Downloads = Downloads()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    patch: Path | None = None
    """A patch of kustomize."""

    @property
    def variant(self) -> Variant:
        """Which configs of triton-config/ it serves."""
        return "gpu" if self.gpus else "cpu"

    @property
    def fewest_replicas(self) -> int:
        """The replicas that it has at least."""
        return self.autoscaling.min if self.autoscaling else self.replicas

    @property
    def most_replicas(self) -> int:
        """The replicas that it has at most, but for a rollout."""
        return self.autoscaling.max if self.autoscaling else self.replicas

    def serves(self, hosts: Sequence[str]) -> bool:
        """Whether an entry of models.toml with these `hosts` is for this target."""
        return is_for(hosts, (self.name, *self.groups))
