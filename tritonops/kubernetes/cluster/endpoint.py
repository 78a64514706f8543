"""The Triton of a target: that of one of its pods, through a port-forward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tritonops.errors import ServiceError
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import LiveTarget, read_rollout, require_namespace
from tritonops.kubernetes.cluster.pod_state import PodState, pod_state
from tritonops.kubernetes.cluster.pod_triton import pod_client
from tritonops.kubernetes.targets.target import Target

if TYPE_CHECKING:
    from tritonops.triton.client.client import TritonClient


@contextmanager
def target_client(target: Target, *, token: str | None, on_choice: Callable[[str], None]) -> Iterator[TritonClient]:
    """Connect to a pod of a target: of its current release and ready, where there is one; `on_choice` is told which.

    Raises ServiceError where no pod runs Triton, and KubectlError.
    """
    kubectl = Kubectl.of(target)
    live = read_rollout(kubectl, target)
    require_namespace(kubectl, live)
    pod, release, number = _chosen(live)
    on_choice(f"{target.name}: pod {pod.name}, release {release}, one of {number}, {pod.text}")
    with pod_client(kubectl, pod.name, token) as client:
        yield client


def _chosen(live: LiveTarget) -> tuple[PodState, str | None, int]:
    states = [(pod_state(pod), revision) for revision in reversed(live.revisions) for pod in live.pods(revision)]
    running = [(state, revision) for state, revision in states if state.runs_triton]
    ready = [found for found in running if found[0].is_ready]
    for state, revision in (*ready, *running):
        return state, revision.release, len(states)
    others = "".join(f"\n  {state.name}: {state.text}" for state, _ in states)
    raise ServiceError(
        f"no pod of {live.target.name} runs Triton{others}", hint=f"inv kubernetes.status --target {live.target.name}"
    )
