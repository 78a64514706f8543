"""Changes, as the words of kubectl and the requests that it makes of them."""

from __future__ import annotations

import json

import pytest

from tests import programs
from tests.kubernetes.cluster.api_server import CONTEXT, NAMESPACE, api_server, status, write_kubeconfig
from tests.kubernetes.cluster.live_objects import live, live_deployment, release_of, replica_set
from tests.kubernetes.cluster.test_managed_fields import entry, own_fields
from tests.kubernetes.kubectl_script import write_script
from tests.kubernetes.scripted_cluster import ScriptedCluster
from tritonops.display_text import clip, one_line
from tritonops.errors import KubectlError, SupersededError
from tritonops.kubernetes.cluster import changes
from tritonops.kubernetes.cluster.changes import delete, note_result, reference, take_over
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.revision import AT

PATH = "/api/v1/namespaces/triton/configmaps/x"


@pytest.fixture
def api(tmp_path, monkeypatch):
    programs.require("kubectl")
    monkeypatch.setenv("HOME", str(tmp_path))
    with api_server() as server:
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "kubeconfig", server.url)))
        yield server


@pytest.fixture
def script(tmp_path, monkeypatch):
    return write_script(tmp_path / "bin", "", monkeypatch)


@pytest.mark.parametrize(
    ("version", "kind", "name"),
    [
        ("apps/v1", "Deployment", "deployment.apps/x"),
        ("v1", "Service", "service/x"),
        ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicy.networking.k8s.io/x"),
        ("keda.sh/v1alpha1", "ScaledObject", "scaledobject.keda.sh/x"),
        ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscaler.autoscaling/x"),
    ],
)
def test_an_object_is_referred_to_with_its_group(version, kind, name):
    assert reference({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}}) == name


def by_kubectl(fields):
    metadata = {"name": "x", "resourceVersion": "7", "managedFields": [entry("kubectl", {"f:data": fields})]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}


@pytest.mark.parametrize("count", [1, 20_000])
def test_a_take_over_names_the_version_that_was_read_whatever_its_size(api, count):
    fields: dict[str, dict[str, str]] = {f"f:config-{number}": {} for number in range(count)}
    found = by_kubectl(fields)
    for method in ("GET", "PATCH"):
        api.answers[f"{method} {PATH}"] = (200, found)
    take_over(Kubectl(CONTEXT, NAMESPACE), found, is_scaled=False)
    ((request, body),) = ((request, body) for request, body in api.requests if request.startswith("PATCH"))
    assert request.startswith(f"PATCH {PATH}?")
    metadata = json.loads(body)["metadata"]
    assert metadata["resourceVersion"] == "7"
    assert own_fields(metadata["managedFields"]) == {"f:data": fields}


def test_a_take_over_of_what_somebody_changed_meanwhile_fails(api):
    found = by_kubectl({"f:a": {}})
    api.answers[f"GET {PATH}"] = (200, found)
    message = 'Operation cannot be fulfilled on configmaps "x": the object has been modified'
    api.answers[f"PATCH {PATH}"] = (409, status(409, "Conflict", message))
    with pytest.raises(KubectlError, match="the object has been modified"):
        take_over(Kubectl(CONTEXT, NAMESPACE), found, is_scaled=False)


def test_nothing_is_patched_where_all_is_ours(script):
    found = {"metadata": {"managedFields": [entry("tritonops", {"f:data": {"f:a": {}}}, "Apply")]}}
    take_over(Kubectl("c", "n"), found, is_scaled=False)
    assert script.calls == []


def test_a_result_is_noted_in_one_line_of_a_bounded_length_and_read_back(tmp_path, monkeypatch):
    cluster, release = ScriptedCluster(tmp_path / "bin", monkeypatch), release_of("alpha")
    objects = [live_deployment(release), replica_set(3, release)]
    # The cluster copies the record of an earlier deploy once more, after the first note.
    late = replica_set(3, release)
    late["metadata"]["annotations"][AT] = "2026-01-01T00:00:00Z"
    result = clip(one_line(f"failed: alpha=beta\nis not served: {'x' * 1000}"))
    cluster.set_objects([objects[0], replica_set(3, release, result=result)], first=[objects[0], late])
    note_result(cluster.kubectl, live(*objects), f"failed: alpha=beta\nis not served: {'x' * 1000}")
    notes = [words for words in cluster.script.calls if words.startswith("annotate ")]
    assert len(notes) == 2
    assert notes[0].startswith("annotate replicasets.apps production-triton-hash3 tritonops/by=ci@runner ")
    assert " tritonops/result=failed: alpha=beta is not served: xxx" in notes[0]
    assert notes[0].endswith(
        "… tritonops/result-of=2026-11-30T10:00:00Z - tritonops/restored- --overwrite --output=name"
    )


def test_a_result_is_never_noted_at_a_revision_that_somebody_else_deployed_meanwhile(tmp_path, monkeypatch):
    cluster, old, new = ScriptedCluster(tmp_path / "bin", monkeypatch), release_of("old"), release_of("new")
    seen = [live_deployment(old), replica_set(3, old)]
    cluster.set_objects([live_deployment(new), *seen[1:], replica_set(4, new, result=None)])
    with pytest.raises(SupersededError, match="somebody deployed another release"):
        note_result(cluster.kubectl, live(*seen), "served")
    notes = [words for words in cluster.script.calls if words.startswith("annotate ")]
    assert [words.split()[2] for words in notes] == ["production-triton-hash3"]


def test_a_result_that_does_not_last_is_no_success(tmp_path, monkeypatch):
    monkeypatch.setattr(changes, "_COPYING", 0.0)
    cluster, release = ScriptedCluster(tmp_path / "bin", monkeypatch), release_of("alpha")
    objects = [live_deployment(release), replica_set(3, release, result=None)]
    cluster.set_objects(objects)
    with pytest.raises(KubectlError, match="does not keep its result, which is: served"):
        note_result(cluster.kubectl, live(*objects), "served")


def test_objects_are_deleted_in_one_command_and_none_in_none(script):
    kubectl = Kubectl("c", "n")
    delete(kubectl, [])
    assert script.calls == []
    delete(kubectl, [by_kubectl({}), live_deployment(release_of("alpha"))], wait=True)
    delete(kubectl, [by_kubectl({})])
    names = "configmap/x deployment.apps/production-triton"
    assert script.calls == [
        f"delete {names} --ignore-not-found --wait=true --output=name",
        "delete configmap/x --ignore-not-found --wait=false --output=name",
    ]
