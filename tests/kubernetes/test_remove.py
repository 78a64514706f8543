"""A removal as the commands of kubectl, in an order that can be repeated."""

import pytest

from tests.kubernetes.cluster.live_objects import TARGET, live, live_deployment, pod, release_of, rendered, replica_set
from tests.kubernetes.scripted_cluster import ScriptedCluster
from tritonops.errors import UnknownNamespaceError
from tritonops.kubernetes.manifests.names import CUSTOM_KINDS
from tritonops.kubernetes.remove import Removal, make_removal, remove

RELEASE = release_of("alpha")


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    return ScriptedCluster(tmp_path / "bin", monkeypatch)


def custom(kind, version):
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "production-triton"}}


def test_everything_that_a_deploy_applied_is_removed_and_what_the_cluster_made_of_it_goes_with_it(cluster):
    cluster.set_objects([live_deployment(RELEASE), replica_set(1, RELEASE), pod("p-1", 1), *rendered(RELEASE)[1:]])
    removal = make_removal(TARGET)
    names = [each["metadata"]["name"] for each in rendered(RELEASE)[1:]]
    assert [(each.kind, each.name) for each in removal.objects] == [
        *(("ConfigMap", name) for name in sorted(names)),
        ("Deployment", "production-triton"),
    ]
    remove(removal)
    assert cluster.script.calls[1:] == [
        "delete deployments.apps production-triton --ignore-not-found --cascade=foreground --output=name",
        f"delete {' '.join(f'configmap/{name}' for name in names)} --ignore-not-found --wait=true --output=name",
    ]


def test_custom_resources_go_before_the_deployment_that_notes_them(cluster):
    deployment = live_deployment(RELEASE)
    deployment["metadata"]["annotations"][CUSTOM_KINDS] = "PodMonitor,ScaledObject"
    objects = [
        deployment,
        custom("ScaledObject", "keda.sh/v1alpha1"),
        custom("PodMonitor", "monitoring.coreos.com/v1"),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "production-triton"}},
    ]
    remove(Removal(cluster.kubectl, live(objects)))
    first, second, third = cluster.script.calls
    assert first.startswith(
        "delete scaledobject.keda.sh/production-triton podmonitor.monitoring.coreos.com/production-"
    )
    assert second.startswith("delete deployments.apps production-triton ")
    assert third.startswith("delete service/production-triton ")


def test_a_target_that_is_not_there_has_nothing_to_remove(cluster):
    removal = make_removal(TARGET)
    assert removal.objects == []
    remove(removal)
    assert not any(words.startswith("delete") for words in cluster.script.calls)


def test_a_namespace_that_is_not_there_is_an_input_error(tmp_path, monkeypatch):
    cluster = ScriptedCluster(tmp_path / "bin", monkeypatch)
    script = cluster.script.folder / "kubectl"
    missing = """case "$1 $2" in "get namespace") echo 'namespaces "triton" not found' >&2; exit 1;; esac"""
    script.write_text(script.read_text().replace('case "$1 $2" in', f'{missing}\ncase "$1 $2" in', 1))
    with pytest.raises(UnknownNamespaceError):
        make_removal(TARGET)
