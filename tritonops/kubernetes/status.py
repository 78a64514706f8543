"""The status of a target: its release, and what each pod serves, as its own Triton says."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tritonops.errors import TritonOpsError
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import LiveTarget, read_live, require_namespace
from tritonops.kubernetes.cluster.pod_state import PodState, pod_state
from tritonops.kubernetes.cluster.pod_triton import pod_client, unready_versions
from tritonops.kubernetes.cluster.revision import Revision
from tritonops.kubernetes.targets.target import Target

_AT_ONCE = 8


@dataclass(frozen=True)
class PodStatus:
    """One pod."""

    pod: str
    node: str | None
    release: str | None
    state: str
    served: int | None
    """Expected versions that are ready; None where its Triton was not, or could not be, asked."""
    expected: int | None


@dataclass(frozen=True)
class TargetStatus:
    """A target: what it is to serve, and what its pods do."""

    target: str
    context: str
    namespace: str
    release: str | None
    """None before the first deploy."""
    revision: int | None
    by: str | None
    at: str | None
    result: str | None
    """ "served", or why the deploy failed; None where it did not end."""
    replicas: int | None
    ready: int | None
    pods: tuple[PodStatus, ...]


def status(target: Target, *, token: str | None) -> TargetStatus:
    """Read a target, and ask the Triton of each of its pods through a port-forward, several at once."""
    kubectl = Kubectl.of(target)
    live = read_live(kubectl, target)
    require_namespace(kubectl, live)
    current = live.revisions[-1] if live.revisions else None
    deployment = live.deployment or {"spec": {}, "status": {}}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = [(pod_state(pod), revision) for revision in reversed(live.revisions) for pod in live.pods(revision)]
        pods = tuple(pool.map(lambda each: _pod_status(kubectl, live, each[0], each[1], token), found))
    return TargetStatus(
        target=target.name,
        context=target.context,
        namespace=target.namespace,
        release=current.release if current else None,
        revision=current.number if current else None,
        by=current.by if current else None,
        at=current.at if current else None,
        result=current.result if current else None,
        replicas=deployment["spec"].get("replicas"),
        ready=deployment["status"].get("readyReplicas", 0) if live.deployment else None,
        pods=pods,
    )


def _pod_status(
    kubectl: Kubectl, live: LiveTarget, state: PodState, revision: Revision, token: str | None
) -> PodStatus:
    expected = live.expected(revision)
    served, text = None, state.text
    if state.runs_triton and expected is not None:
        try:
            served = _served(kubectl, state.name, expected, token)
        except TritonOpsError as exc:
            text = f"{text}; {exc}"
    return PodStatus(
        state.name, state.node, revision.release, text, served, None if expected is None else len(expected)
    )


def _served(kubectl: Kubectl, pod: str, expected: Sequence[tuple[str, int]], token: str | None) -> int | None:
    with pod_client(kubectl, pod, token) as client:
        unready = unready_versions(client, expected)
    return None if unready is None else len(expected) - len(unready)
