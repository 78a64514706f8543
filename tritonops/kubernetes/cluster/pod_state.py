"""What a pod does, in the cluster's own words, and whether it can still become ready."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tritonops.display_text import one_line
from tritonops.kubernetes.manifests.names import Manifest

_INPUT_IS_WRONG = 2
"""The exit code of the init container for what another try does not change."""
_MOST_TRIES = 2
"""The program itself waits and asks again where a server is busy."""
_OVER = ("Failed", "Succeeded")
"""The phases of a pod that was evicted, or whose node was shut down: it stays in lists, and never starts again."""
_FINAL = {"ErrImageNeverPull", "InvalidImageName"}
_STUCK = {
    *("ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"),
    *_FINAL,
}


@dataclass(frozen=True)
class PodState:
    """A pod at one moment."""

    name: str
    node: str | None
    text: str
    """For people: "ready", "loading models", "not scheduled: 0/1 nodes are available: …"."""
    is_ready: bool = False
    runs_triton: bool = False
    """Whether Triton's process runs, ready or not."""
    is_stuck: bool = False
    """Whether it will not become ready unless something else changes soon."""
    failure: str | None = None
    """Why it will not become ready."""
    ended: bool = False
    """Whether `failure` is the end of Triton's process, whose last log has the reason."""
    ends: int = 0
    """How many processes of the container that is at work have ended."""
    is_over: bool = False
    """Whether all of it has ended for good, such as that of an evicted pod: the cluster makes another one."""


def pod_state(pod: Manifest) -> PodState:
    """Read the status of a pod."""
    name, node = pod["metadata"]["name"], pod["spec"].get("nodeName")
    status = pod.get("status", {})
    if status.get("phase") in _OVER:
        text = _why_over(status)
        return PodState(name, node, text, failure=text, is_over=True)
    for found in (_unscheduled(status), _preparing(pod), _serving(status)):
        if found is not None:
            return PodState(name, node, **found)
    return PodState(name, node, "starting")


def _why_over(status: Manifest) -> str:
    """Say why the cluster ended a pod, for which its containers have exit codes only."""
    found = [str(status[name]) for name in ("reason", "message") if status.get(name)]
    return one_line(": ".join(found)) or "the pod failed"


def _unscheduled(status: Manifest) -> dict[str, Any] | None:
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return {"text": f"not scheduled: {one_line(condition.get('message', condition.get('reason', '')))}"}
    return None


def _preparing(pod: Manifest) -> dict[str, Any] | None:
    """Describe the init container while it has not succeeded; a service mesh may have added sidecars, which go on."""
    sidecars = {each["name"] for each in pod["spec"].get("initContainers", []) if each.get("restartPolicy") == "Always"}
    for container in pod.get("status", {}).get("initContainerStatuses", []):
        if container["name"] in sidecars:
            continue
        now = container.get("state", {})
        if found := _waiting(container):
            return found
        ended = now.get("terminated") or container.get("lastState", {}).get("terminated")
        if ended and ended["exitCode"]:
            tries, reason = _ends(container), _message(ended)
            is_final = ended["exitCode"] == _INPUT_IS_WRONG or tries >= _MOST_TRIES
            failure = f"the init container failed: {reason}" if is_final else None
            return {"text": f"prepare failed, try {tries}: {reason}", "failure": failure, "ends": tries}
        if "running" in now:
            return {"text": "preparing models"}
        if "terminated" not in now:
            return {"text": "starting"}
    return None


def _serving(status: Manifest) -> dict[str, Any] | None:
    """Describe Triton's container once it has been made."""
    for container in status.get("containerStatuses", []):
        if container["name"] != "triton":
            continue
        now, before = container.get("state", {}), container.get("lastState", {}).get("terminated")
        if found := _waiting(container):
            return found
        if (ended := now.get("terminated") or before) and not container.get("ready"):
            words = f"Triton ended with exit code {ended['exitCode']}{_why(ended)}"
            runs = "running" in now
            return {"text": words, "failure": words, "ended": True, "runs_triton": runs, "ends": _ends(container)}
        if "running" in now:
            if container.get("ready"):
                return {"text": "ready", "is_ready": True, "runs_triton": True}
            text = "not ready" if container.get("started") else "loading models"
            return {"text": text, "runs_triton": True}
    return None


def _waiting(container: Manifest) -> dict[str, Any] | None:
    waiting = container.get("state", {}).get("waiting") or {}
    reason, message = waiting.get("reason"), one_line(waiting.get("message", ""))
    if reason not in _STUCK:
        return None
    image = str(container.get("image", ""))
    text = f"{reason}: {message}" if image in message else f"{reason}: {image}: {message}"
    return {"text": text, "is_stuck": True, "failure": text if reason in _FINAL else None}


def _ends(container: Manifest) -> int:
    """Count the processes of a container that have ended."""
    return int(container.get("restartCount", 0)) + ("running" not in container.get("state", {}))


def _message(ended: Manifest) -> str:
    """Give the reason among a container's last lines of output: from the last "error:" on."""
    text = str(ended.get("message") or "").strip()
    start = f"\n{text}".rfind("\nerror: ")
    lines = text[start:] if start >= 0 else "\n".join(text.splitlines()[-3:])
    return lines.removeprefix("error: ") or f"exit code {ended['exitCode']}{_why(ended)}"


def _why(ended: Manifest) -> str:
    reason = ended.get("reason")
    return f" ({reason})" if reason and reason not in ("Error", "Completed") else ""
