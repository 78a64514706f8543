"""A rollout as a deploy follows it: a real Triton in a cluster that is a script."""

from __future__ import annotations

import itertools
import json
import socket
import struct
import threading
from contextlib import closing, contextmanager, suppress

import pytest

from tests.kubernetes.cluster.live_objects import TARGET, live_deployment, pod, ready_status, release_of, replica_set
from tests.kubernetes.scripted_cluster import ScriptedCluster
from tests.onnx_models import affine, write_model
from tritonops.errors import RolloutError, SupersededError
from tritonops.kubernetes.rollout import waiting
from tritonops.kubernetes.rollout.waiting import Rollout
from tritonops.triton.client.client import connect
from tritonops.triton.load import load_model

OLD, NEW = release_of("old"), release_of("rollout_doubles")
LOG = "E1130 10:00:00.000000 1 model_lifecycle.cc:654] \"failed to load 'alpha' version 1: Internal: no memory\"\n"
EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}


@pytest.fixture(scope="module")
def served(triton):
    """A Triton that serves the model of the new release."""
    write_model(triton.models_dir, "rollout_doubles", {1: affine(2)})
    with connect(triton.grpc_url) as client:
        load_model(client, "rollout_doubles")
    return triton.grpc_url.rpartition(":")[2]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    return ScriptedCluster(tmp_path / "bin", monkeypatch)


def objects(*pods, **status):
    return [live_deployment(NEW, status=status), replica_set(1, OLD), replica_set(2, NEW), *pods]


def not_ready(**more):
    found = ready_status()
    found["containerStatuses"][0] |= {"ready": False, **more}
    return found


class Following:
    """Follows the rollout of the new release: `rollout(stall=...)`."""

    def __init__(self, kubectl):
        self.kubectl = kubectl
        self.steps = list[str]()

    def __call__(self, *, stall=60.0, expected=NEW.expected, config_dir=None, on_step=None):
        return Rollout(
            self.kubectl,
            TARGET,
            release=NEW.digest,
            expected=expected,
            stall=stall,
            token=None,
            config_dir=config_dir,
            on_step=on_step or self.steps.append,
        ).wait()


@pytest.fixture
def rollout(cluster):
    return Following(cluster.kubectl)


def error_of(rollout, kind=RolloutError, **options):
    with pytest.raises(kind) as caught:
        rollout(**options)
    return str(caught.value)


def test_it_ends_when_every_pod_answers_for_every_version(cluster, rollout, served):
    cluster.set_triton(served)
    pods = [pod(name, 2, status=ready_status()) for name in ("p-1", "p-2")]
    cluster.set_objects(objects(*pods, pod("of-the-release-before", 1)))
    assert rollout().current.release == NEW.digest
    assert rollout.steps == ["p-1: ready", "p-1: serves 1 versions", "p-2: ready", "p-2: serves 1 versions"]


def test_it_goes_on_until_the_cluster_says_that_the_pods_are_available(cluster, rollout, served):
    cluster.set_triton(served)
    ready = objects(pod("p-1", 2, status=ready_status()), pod("p-2", 2, status=ready_status()))
    cluster.set_objects(objects(pod("p-1", 2, status=not_ready(started=False)), updatedReplicas=1))

    def on_step(line):
        rollout.steps.append(line)
        if line == "p-1: loading models":
            cluster.set_objects(ready)

    rollout(on_step=on_step)
    assert rollout.steps[:2] == ["p-1: loading models", "p-1: ready"]
    assert {"p-1: serves 1 versions", "p-2: serves 1 versions"} <= {*rollout.steps}


def test_a_pod_that_was_evicted_before_it_began_is_no_failure_of_it(cluster, rollout, served):
    cluster.set_triton(served)
    cluster.set_objects(objects(pod("evicted", 2, status=EVICTED), pod("p-1", 2, status=ready_status())))
    rollout()
    assert rollout.steps == ["p-1: ready", "p-1: serves 1 versions"]


def test_a_pod_that_is_evicted_meanwhile_is_the_reason_where_no_other_comes(cluster, rollout):
    cluster.set_objects(objects(pod("p-1", 2, status=not_ready()), updatedReplicas=1))
    change = objects(pod("p-1", 2, status=EVICTED), updatedReplicas=1)
    text = error_of(rollout, stall=2.0, on_step=lambda line: cluster.set_objects(change))
    assert "Evicted: The node was low on resource: memory." in text


def test_a_failure_ends_it_with_the_pods_reason_and_the_clusters_warnings(cluster, rollout):
    message = "error: alpha: the file is gone\n"
    failed = {"name": "prepare", "state": {"terminated": {"exitCode": 2, "message": message}}}
    found = objects(pod("p-1", 2, status={"initContainerStatuses": [failed]}), updatedReplicas=1)
    cluster.set_objects(found, first=objects())
    cluster.set_warnings(BackOff="Back-off restarting failed container")
    text = error_of(rollout)
    assert f"production: the release {NEW.digest} does not serve" in text
    assert "p-1: the init container failed: alpha: the file is gone" in text
    assert "events of p-1: BackOff: Back-off restarting failed container" in text


def test_the_reason_of_a_pull_is_told_once_and_is_not_lost_while_the_cluster_waits(cluster, rollout, monkeypatch):
    """The state of the container has the reason only for a moment, after each try."""
    monkeypatch.setattr(waiting, "_STUCK", 4.0)
    states = {"ErrImagePull": "manifest unknown", "ImagePullBackOff": "Back-off pulling image"}
    stuck = [
        objects(pod("p-1", 2, status=not_ready(state={"waiting": {"reason": reason, "message": message}})))
        for reason, message in states.items()
    ]
    turn = itertools.count()
    read = cluster.kubectl.objects

    def objects_in_turn(kubectl, words):
        number = next(turn)
        cluster.set_objects(stuck[(number + 1) % 2] if number else objects())
        return read(words)

    monkeypatch.setattr(type(cluster.kubectl), "objects", objects_in_turn)
    text = error_of(rollout)
    assert "manifest unknown; ImagePullBackOff: " in text
    assert len(rollout.steps) == 2, rollout.steps


def test_the_end_of_triton_is_explained_by_its_log(cluster, rollout):
    cluster.set_triton(1, LOG)
    ended = not_ready(state={"waiting": {"reason": "CrashLoopBackOff"}})
    ended["containerStatuses"][0]["lastState"] = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    cluster.set_objects(objects(pod("p-1", 2, status=ended), updatedReplicas=1), first=objects())
    text = error_of(rollout)
    assert "p-1: Triton ended with exit code 137 (OOMKilled)\n" in text
    assert "alpha: Internal: no memory" in text


def test_a_version_that_triton_does_not_serve_when_it_has_loaded_all_it_can_ends_it(
    cluster, rollout, served, monkeypatch
):
    monkeypatch.setattr(waiting, "_PROBE", 0.0)
    cluster.set_triton(served, LOG.replace("alpha", "gone"))
    cluster.set_objects(objects(pod("p-1", 2, status=not_ready(started=False)), updatedReplicas=1))
    text = error_of(rollout, expected=[*NEW.expected, ("gone", 3), ("gone", 4)])
    assert "gone (version 3, 4): Internal: no memory" in text
    assert "rollout_doubles" not in text


@pytest.fixture
def smoke_tests(tmp_path):
    """Write the smoke test of the model, with the answer to 1234.5."""

    def write(answer):
        path = tmp_path / "configs/rollout_doubles/smoke.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"inputs": {"x": [[1234.5, 0, 0]]}, "outputs": {"y": [[answer, 0, 0]]}}))
        return tmp_path / "configs"

    return write


def test_a_smoke_test_that_fails_ends_it_before_a_pod_of_the_release_before_goes(
    cluster, rollout, served, smoke_tests, monkeypatch
):
    monkeypatch.setattr(waiting, "_PROBE", 0.0)
    cluster.set_triton(served)
    cluster.set_objects(objects(pod("p-1", 2, status=not_ready(started=False)), updatedReplicas=1))
    text = error_of(rollout, config_dir=smoke_tests(1))
    assert "the smoke test of rollout_doubles: y[0, 0] is 2469.0, expected 1.0" in text


@contextmanager
def relay(port, *, cut_at):
    """Forward connections to a port; the first one that sends these bytes is cut."""
    cut = list[bool]()

    def copy(source, sink):
        with closing(source), closing(sink), suppress(OSError):
            while (data := source.recv(1 << 16)) and (cut or cut_at not in data):
                sink.sendall(data)
            if data:
                cut.append(True)
            for each in (source, sink):
                each.shutdown(socket.SHUT_RDWR)

    def accept(server):
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", int(port)))
            for pair in ((client, upstream), (upstream, client)):
                threading.Thread(target=copy, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_a_smoke_test_whose_connection_fails_is_run_again(cluster, rollout, served, smoke_tests, monkeypatch):
    monkeypatch.setattr(waiting, "_PROBE", 0.0)
    cluster.set_objects(objects(pod("p-1", 2, status=ready_status())))
    with relay(served, cut_at=struct.pack("<f", 1234.5)) as port:
        cluster.set_triton(port)
        rollout(config_dir=smoke_tests(2469))
    assert rollout.steps[-1] == "p-1: serves 1 versions"


def test_a_pod_that_cannot_be_asked_is_asked_again(cluster, rollout, served, monkeypatch):
    monkeypatch.setattr(waiting, "_PROBE", 0.0)
    cluster.set_objects(objects(pod("p-1", 2, status=ready_status())))

    def on_step(line):
        rollout.steps.append(line)
        if "lost connection" in line:
            cluster.set_triton(served)

    rollout(on_step=on_step)
    assert "p-1: cannot reach the pod p-1: error: lost connection to pod" in rollout.steps
    assert rollout.steps[-1] == "p-1: serves 1 versions"


def test_without_any_change_it_has_failed_after_the_given_time(cluster, rollout):
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "message": "0/1 nodes are available: 1 Insufficient memory.",
    }
    cluster.set_objects(objects(pod("p-1", 2, status={"conditions": [condition]}), updatedReplicas=1))
    text = error_of(rollout, stall=0.1)
    assert "nothing changed for 0.1 s" in text
    assert "p-1: not scheduled: 0/1 nodes are available: 1 Insufficient memory." in text


def test_a_rollout_that_the_cluster_does_not_begin_fails_with_how_many_pods_there_are(cluster, rollout):
    cluster.set_objects([live_deployment(NEW, status={"observedGeneration": 2, "availableReplicas": 1})])
    assert "nothing changed for 0.1 s: 1 of 2 pods are available" in error_of(rollout, stall=0.1)


def test_a_pod_that_the_cluster_refuses_to_make_fails_it_early(cluster, rollout, monkeypatch):
    monkeypatch.setattr(waiting, "_STUCK", 0.1)
    message = 'pods "p-1" is forbidden: exceeded quota: gpus, requested: nvidia.com/gpu=1'
    conditions = [{"type": "ReplicaFailure", "status": "True", "message": message}]
    cluster.set_objects(objects(updatedReplicas=0, conditions=conditions))
    assert f"no pod: {message}" in error_of(rollout)


def test_an_image_that_cannot_be_pulled_fails_it_early_although_the_kubelet_alternates_between_two_reasons(
    cluster, rollout, monkeypatch
):
    monkeypatch.setattr(waiting, "_STUCK", 1.5)
    reasons = itertools.cycle(["ImagePullBackOff", "ErrImagePull"])

    def alternate(line=""):
        waits = not_ready(state={"waiting": {"reason": next(reasons), "message": "manifest unknown"}})
        cluster.set_objects(objects(pod("p-1", 2, status=waits), updatedReplicas=1))

    alternate()
    error = error_of(rollout, on_step=alternate)
    assert "p-1: ErrImagePull: manifest unknown; ImagePullBackOff: manifest unknown" in error
    assert "nothing changed for" not in error


def test_a_release_that_somebody_deploys_meanwhile_is_left_alone(cluster, rollout):
    cluster.set_objects([live_deployment(OLD), replica_set(1, OLD)])
    text = error_of(rollout, SupersededError)
    assert f"somebody deployed the release {OLD.digest} meanwhile, in place of {NEW.digest}" in text
    cluster.set_objects([])
    assert "somebody deleted the Deployment meanwhile" in error_of(rollout, SupersededError)
