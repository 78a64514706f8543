"""The logs of a target's pods."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tritonops.errors import InputError
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import read_rollout, require_namespace
from tritonops.kubernetes.manifests.names import Manifest, selector
from tritonops.kubernetes.targets.target import Target

_MOST_PODS = 200


def show_logs(
    target: Target, on_output: Callable[[bytes], None], *, lines: int, follow: bool = False, previous: bool = False
) -> None:
    """Pass on the logs of all pods, both containers, each line after its pod and container.

    Raises InputError where there is no pod, or none of their containers has a log, and KubectlError.
    """
    kubectl = Kubectl.of(target)
    live = read_rollout(kubectl, target)
    require_namespace(kubectl, live)
    pods = live.pods()
    if not pods:
        raise InputError(f"{target.name} has no pods", hint=f"inv kubernetes.status --target {target.name}")
    options = [f"--tail={lines}", "--prefix", *(["--previous"] if previous else [])]
    if follow:
        _follow(kubectl, target, options, on_output)
        return
    found = [(pod["metadata"]["name"], name) for pod in pods for name in _containers(pod, previous=previous)]
    if not found:
        raise InputError(
            f"no container of {target.name} has {'ended and started again' if previous else 'started'}",
            hint=f"inv kubernetes.status --target {target.name}",
        )
    for pod_name, container in found:
        kubectl.watch(["logs", pod_name, f"--container={container}", *options], on_output)


def _follow(kubectl: Kubectl, target: Target, options: list[str], on_output: Callable[[bytes], None]) -> None:
    labels = ",".join(f"{name}={value}" for name, value in selector(target).items())
    words = ["logs", f"--selector={labels}", "--all-containers", *options, "--ignore-errors", "--follow"]
    kubectl.watch([*words, f"--max-log-requests={_MOST_PODS}"], on_output)


def _containers(pod: Manifest, *, previous: bool) -> Iterator[str]:
    """Name the containers of a pod that have a log; kubectl prints its error about another one among the lines."""
    status = pod.get("status", {})
    for each in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        has_ended = "terminated" in each.get("lastState", {})
        if has_ended or (not previous and each.get("state", {}).keys() & {"running", "terminated"}):
            yield each["name"]
