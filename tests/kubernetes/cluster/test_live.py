"""What is read of a target's objects: its revisions, whether a rollout is complete, and the files of each release."""

from __future__ import annotations

import json

import pytest

from tests.kubernetes.cluster.live_objects import (
    TARGET,
    UID,
    live,
    live_deployment,
    pod,
    release_of,
    rendered,
    replica_set,
)
from tests.kubernetes.kubectl_script import write_script
from tritonops.errors import KubectlError, UnknownNamespaceError
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import LiveTarget, custom_kinds, read_live, read_rollout, require_namespace
from tritonops.kubernetes.manifests.names import CUSTOM_KINDS

OLD, NEW = release_of("alpha"), release_of("alpha", "beta")
KEDA_HPA = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "keda-hpa-production-triton", "ownerReferences": [{"kind": "ScaledObject", "uid": "uid-s"}]},
}


def numbers(found):
    return [revision.number for revision in found.revisions]


def test_a_namespace_without_objects_of_a_target_has_nothing():
    found = live()
    assert (found.deployment, found.revisions, found.current, found.pods()) == (None, [], None, [])
    assert not found.is_observed
    assert not found.is_complete


def test_revisions_are_those_of_this_deployment_in_the_order_of_their_numbers():
    sets = [replica_set(10, NEW), replica_set(9, OLD), replica_set(2, OLD), replica_set(11, OLD, owner="of another")]
    found = live(live_deployment(NEW), sets)
    assert numbers(found) == [2, 9, 10]
    assert found.current is found.revisions[-1]
    assert (found.current.release, found.current.by, found.current.served) == (NEW.digest, "ci@runner", True)


def test_no_revision_is_current_until_the_cluster_has_seen_the_change():
    found = live(live_deployment(NEW, generation=4, status={"observedGeneration": 3}), replica_set(1, OLD))
    assert (found.current, found.is_observed, found.is_complete) == (None, False, False)
    assert live({**live_deployment(NEW), "status": {}}, replica_set(1, OLD)).current is None


@pytest.mark.parametrize(
    ("counts", "complete"),
    [
        ({}, True),
        ({"replicas": 3}, False),
        ({"updatedReplicas": 1}, False),
        ({"availableReplicas": 1}, False),
    ],
    ids=["all pods are", "one of the release before", "not all are new", "not all are available"],
)
def test_a_rollout_is_complete_when_all_replicas_are_available_pods_of_the_current_revision(counts, complete):
    assert live(live_deployment(NEW, status=counts)).is_complete is complete


def test_a_target_that_was_scaled_to_nothing_is_not_complete_since_no_pod_shows_what_it_serves():
    stopped = live_deployment(NEW, replicas=0)
    stopped["status"] = {"observedGeneration": 3}
    assert not live(stopped).is_complete


def test_pods_are_those_of_a_revision_without_the_ones_that_end():
    pods = [pod("old", 1), pod("new", 2), pod("ends", 2, deletionTimestamp="2026-11-30T10:00:00Z")]
    found = live(live_deployment(NEW), replica_set(1, OLD), replica_set(2, NEW), pods)
    assert [each["metadata"]["name"] for each in found.pods()] == ["old", "new"]
    assert [each["metadata"]["name"] for each in found.pods(found.revisions[-1])] == ["new"]


def test_what_a_controller_made_of_an_object_is_no_object_of_the_target():
    found = live(live_deployment(NEW), replica_set(1, NEW), pod("p", 1), rendered(NEW)[1:], KEDA_HPA)
    assert {kind for kind, _ in found.by_name} == {"Deployment", "ConfigMap"}


def test_the_files_of_a_revision_are_those_of_its_release_byte_by_byte():
    found = live(live_deployment(NEW), replica_set(1, OLD), replica_set(2, NEW), rendered(OLD)[1:], rendered(NEW)[1:])
    assert [found.files(revision) for revision in found.revisions] == [OLD.files, NEW.files]
    assert [found.expected(revision) for revision in found.revisions] == [[("alpha", 1)], [("alpha", 1), ("beta", 1)]]


def test_a_revision_whose_config_maps_are_gone_has_neither_files_nor_versions():
    found = live(live_deployment(NEW), replica_set(1, OLD), replica_set(2, NEW), rendered(NEW)[1:])
    assert found.files(found.revisions[0]) is None
    assert found.expected(found.revisions[0]) is None


def test_a_revision_that_was_edited_until_nothing_of_a_release_was_left_has_no_files():
    edited = replica_set(1, OLD)
    del edited["spec"]["template"]["spec"]["volumes"]
    found = live(live_deployment(OLD), edited)
    assert (found.files(found.revisions[0]), found.expected(found.revisions[0])) == (None, None)
    assert found.referenced_maps() == set()


def test_the_maps_of_every_kept_revision_and_of_every_pod_are_referenced():
    lonely = pod("lonely", 7)
    lonely["spec"]["volumes"] = [{"name": "scripts", "configMap": {"name": "of-an-earlier-release"}}]
    found = live(live_deployment(NEW), replica_set(1, OLD), replica_set(2, NEW), lonely)
    names = {each["metadata"]["name"] for each in (*rendered(OLD)[1:], *rendered(NEW)[1:])}
    assert found.referenced_maps() == names | {"of-an-earlier-release"}


def test_which_objects_are_custom_resources():
    assert custom_kinds([{"kind": "ScaledObject"}, {"kind": "PodMonitor"}, {"kind": "Service"}]) == {
        "ScaledObject",
        "PodMonitor",
    }


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A kubectl that gives these objects: `cluster(objects, custom=..., body=...)`."""

    def answer(objects, body=""):
        script = write_script(tmp_path / "bin", f'{body}\ncat "$folder/objects.json"', monkeypatch)
        (script.folder / "objects.json").write_text(json.dumps({"kind": "List", "items": objects}))
        return script, Kubectl.of(TARGET)

    return answer


def test_a_target_is_read_with_one_command_by_its_labels(cluster):
    script, kubectl = cluster([live_deployment(NEW), replica_set(1, NEW)])
    assert numbers(read_live(kubectl, TARGET)) == [1]
    (words,) = script.calls
    assert words.startswith("get deployments.apps,configmaps,services,")
    assert "--selector=app.kubernetes.io/name=triton,app.kubernetes.io/instance=production," in words
    assert "app.kubernetes.io/managed-by=tritonops --show-managed-fields" in words
    read_rollout(kubectl, TARGET)
    assert script.calls[1].startswith("get deployments.apps,replicasets.apps,pods ")


def test_custom_resources_are_read_where_a_deploy_has_them_or_once_had_them(cluster):
    noted = live_deployment(NEW)
    noted["metadata"]["annotations"][CUSTOM_KINDS] = "ScaledObject,Unheard"
    script, kubectl = cluster([noted])
    read_live(kubectl, TARGET, custom_kinds={"PodMonitor"})
    assert [words.split()[1] for words in script.calls[1:]] == [
        "podmonitors.monitoring.coreos.com",
        "scaledobjects.keda.sh",
    ]


def test_a_kind_that_the_cluster_no_longer_knows_has_no_objects_and_any_other_failure_is_one(cluster):
    message = "error: the server doesn't have a resource type 'podmonitors'"
    gone = f"""case $2 in podmonitors*) echo "{message}" >&2; exit 1;; esac"""
    _, kubectl = cluster([live_deployment(NEW)], gone)
    assert len(read_live(kubectl, TARGET, custom_kinds={"PodMonitor"}).objects) == 1
    _, kubectl = cluster([live_deployment(NEW)], "case $2 in podmonitors*) echo 'error: broken' >&2; exit 1;; esac")
    with pytest.raises(KubectlError, match="broken"):
        read_live(kubectl, TARGET, custom_kinds={"PodMonitor"})


def test_a_namespace_is_asked_for_only_where_nothing_is_in_it(cluster):
    missing = """echo 'Error from server (NotFound): namespaces "triton" not found' >&2; exit 1"""
    script, kubectl = cluster([], missing)
    require_namespace(kubectl, LiveTarget(TARGET, (live_deployment(NEW),)))
    assert script.calls == []
    with pytest.raises(UnknownNamespaceError):
        require_namespace(kubectl, live())
    assert UID not in script.calls[0]
