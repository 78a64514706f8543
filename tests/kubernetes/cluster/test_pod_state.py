"""Statuses of pods as a scheduler and a kubelet write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tritonops.kubernetes.cluster.pod_state import PodState, pod_state

STARTED_AT = "2026-11-30T10:00:00Z"
CREATING = {"waiting": {"reason": "PodInitializing"}}
RUNNING = {"running": {"startedAt": STARTED_AT}}
SUCCEEDED = {"terminated": {"exitCode": 0, "reason": "Completed"}}
PREPARED = {"name": "prepare", "ready": True, "restartCount": 0, "state": SUCCEEDED}


def terminated(code, reason="Error", message=None):
    found = {"exitCode": code, "reason": reason, "startedAt": STARTED_AT, "finishedAt": STARTED_AT}
    return {"terminated": found | ({"message": message} if message else {})}


def container(name, state, *, before=None, restarts=0, ready=False, started=None):
    found = {"name": name, "state": state, "lastState": before or {}, "ready": ready, "restartCount": restarts}
    return found | ({} if started is None else {"started": started})


def state(
    init: dict[str, Any] | None = None,
    triton: dict[str, Any] | None = None,
    *,
    sidecar: dict[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
) -> PodState:
    """What is read of a pod with these containers."""
    spec: dict[str, Any] = {
        "nodeName": "node-1",
        "initContainers": [{"name": "prepare"}],
        "containers": [{"name": "triton"}],
    }
    inits = [init] if init else []
    if sidecar:
        spec["initContainers"].insert(0, {"name": sidecar["name"], "restartPolicy": "Always"})
        inits.insert(0, sidecar)
    found: dict[str, Any] = {"phase": "Pending", **(status or {})}
    if inits:
        found["initContainerStatuses"] = inits
        found["containerStatuses"] = [triton or container("triton", CREATING, started=False)]
    return pod_state({"metadata": {"name": "p-1"}, "spec": spec, "status": found})


def test_a_pod_that_no_node_has_room_for_says_so_in_the_schedulers_words():
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: not eligible."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    found = state(status={"conditions": [condition]})
    assert found.text == f"not scheduled: {message}"
    assert not found.failure
    assert not found.is_stuck


def test_a_pod_that_is_new_is_starting():
    assert pod_state({"metadata": {"name": "p-1"}, "spec": {}}) == PodState("p-1", None, "starting")
    assert state(container("prepare", CREATING)).text == "starting"
    assert state(container("prepare", {"waiting": {"reason": "ContainerCreating"}})).text == "starting"


def test_the_init_container_prepares_models():
    found = state(container("prepare", RUNNING, started=True))
    assert (found.text, found.failure, found.runs_triton) == ("preparing models", None, False)
    assert found.node == "node-1"


LOG = "Downloading alpha\nwarning: slow\nerror: alpha: the file is gone\nhint: inv models.lock\n"
REASON = "alpha: the file is gone\nhint: inv models.lock"


@pytest.mark.parametrize(
    ("container_state", "restarts", "before", "failure"),
    [
        (terminated(1, message=LOG), 0, None, None),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, 0, terminated(1, message=LOG), None),
        (RUNNING, 1, terminated(1, message=LOG), None),
        (
            terminated(1, message=LOG),
            1,
            terminated(1, message="error: another"),
            f"the init container failed: {REASON}",
        ),
        (terminated(1, message=LOG), 2, None, f"the init container failed: {REASON}"),
        (terminated(2, message=LOG), 0, None, f"the init container failed: {REASON}"),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, 0, terminated(2, message=LOG), "the init container failed:"),
    ],
    ids=["failed", "waits", "tries again", "failed twice", "failed too often", "wrong input", "wrong input, waits"],
)
def test_an_init_container_that_failed_is_tried_again_unless_the_input_is_wrong(
    container_state, restarts, before, failure
):
    found = state(container("prepare", container_state, restarts=restarts, before=before))
    tries = restarts if container_state == RUNNING else restarts + 1
    assert found.text == f"prepare failed, try {tries}: {REASON}"
    assert (found.failure or "").startswith(failure or "")
    assert bool(found.failure) == bool(failure)
    assert not found.ended


@pytest.mark.parametrize(
    ("message", "reason", "text"),
    [
        (LOG, "Error", REASON),
        ("error: one\ntwo\nthree\nfour\nhint: five", "Error", "one\ntwo\nthree\nfour\nhint: five"),
        ("error: one\nerror: two\n", "Error", "two"),
        ("a\nb\nc\nTraceback\n", "Error", "b\nc\nTraceback"),
        (None, "Error", "exit code 1"),
        (None, "OOMKilled", "exit code 1 (OOMKilled)"),
    ],
    ids=["the last error", "from its first line", "the last of two", "without an error", "silent", "killed"],
)
def test_the_reason_of_a_failure_is_what_the_container_printed_last(message, reason, text):
    found = state(container("prepare", terminated(1, reason, message)))
    assert found.text == f"prepare failed, try 1: {text}"


def test_an_init_container_that_succeeded_at_last_is_done():
    retried = container("prepare", SUCCEEDED, before=terminated(1), restarts=1, ready=True)
    assert state(retried).text == "starting"


@pytest.mark.parametrize(
    ("reason", "is_final"),
    [
        ("ErrImagePull", False),
        ("ImagePullBackOff", False),
        ("CreateContainerConfigError", False),
        ("CreateContainerError", False),
        ("RunContainerError", False),
        ("ErrImageNeverPull", True),
        ("InvalidImageName", True),
    ],
)
@pytest.mark.parametrize("name", ["prepare", "triton"])
def test_a_container_that_cannot_be_made_is_stuck_and_fails_at_once_where_no_try_helps(name, reason, is_final):
    waiting = container(name, {"waiting": {"reason": reason, "message": 'secret "hub"\n not found'}})
    found = state(waiting) if name == "prepare" else state(PREPARED, waiting)
    assert found.text == f'{reason}: secret "hub" not found'
    assert found.is_stuck
    assert found.failure == (found.text if is_final else None)


def test_triton_loads_models_until_it_has_started_and_is_not_ready_until_it_is():
    assert state(PREPARED).text == "starting"
    loading = state(PREPARED, container("triton", RUNNING, started=False), status={"phase": "Running"})
    assert (loading.text, loading.runs_triton, loading.is_ready) == ("loading models", True, False)
    assert state(PREPARED, container("triton", RUNNING, started=True)).text == "not ready"
    ready = state(PREPARED, container("triton", RUNNING, started=True, ready=True))
    assert ready == PodState("p-1", "node-1", "ready", is_ready=True, runs_triton=True)


@pytest.mark.parametrize(
    ("triton", "text", "runs"),
    [
        (container("triton", terminated(1), started=False), "Triton ended with exit code 1", False),
        (container("triton", terminated(137, "OOMKilled")), "Triton ended with exit code 137 (OOMKilled)", False),
        (
            container("triton", {"waiting": {"reason": "CrashLoopBackOff"}}, before=terminated(1), restarts=3),
            "Triton ended with exit code 1",
            False,
        ),
        (
            container("triton", RUNNING, before=terminated(137, "OOMKilled"), restarts=1, started=False),
            "Triton ended with exit code 137 (OOMKilled)",
            True,
        ),
    ],
    ids=["ended", "killed for memory", "waits", "runs again"],
)
def test_the_end_of_triton_is_a_failure_with_its_exit_code_until_it_is_ready_again(triton, text, runs):
    found = state(PREPARED, triton)
    assert (found.text, found.failure, found.ended, found.runs_triton) == (text, text, True, runs)
    again = {**triton, "state": RUNNING, "started": True, "ready": True}
    assert state(PREPARED, again).text == "ready"


def test_an_evicted_pod_says_why_and_not_only_that_its_container_ended():
    message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 52Mi."
    evicted = {"phase": "Failed", "reason": "Evicted", "message": message}
    killed = container("triton", terminated(137), ready=False)
    for found in (state(status=evicted), state(PREPARED, killed, status=evicted)):
        assert found.text == found.failure == f"Evicted: {message}"
        assert not found.ended
    assert state(status={"phase": "Failed", "reason": "NodeShutdown"}).text == "NodeShutdown"


def test_a_pod_that_failed_without_a_reason_has_failed():
    assert state(status={"phase": "Failed"}).failure == "the pod failed"


def test_the_sidecar_of_a_service_mesh_is_no_preparation_although_it_is_an_init_container():
    proxy = container("istio-proxy", RUNNING, ready=True, started=True)
    assert state(container("prepare", CREATING), sidecar=proxy).text == "starting"
    assert state(container("prepare", RUNNING), sidecar=proxy).text == "preparing models"
    ready = container("triton", RUNNING, started=True, ready=True)
    assert state(PREPARED, ready, sidecar=proxy).is_ready


def test_another_container_of_the_pod_is_not_triton():
    found = pod_state(
        {
            "metadata": {"name": "p-1"},
            "spec": {},
            "status": {"containerStatuses": [container("proxy", RUNNING, ready=True), container("triton", CREATING)]},
        }
    )
    assert found.text == "starting"
