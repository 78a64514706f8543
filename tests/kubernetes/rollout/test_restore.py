"""Which revision is rolled back to, and the Deployment that serves it again."""

import pytest

from tests.kubernetes.cluster.live_objects import (
    RECORD,
    TARGET,
    live,
    live_deployment,
    pod,
    ready_status,
    release_of,
    rendered,
    replica_set,
)
from tests.kubernetes.cluster.test_managed_fields import AUTOSCALER, applied, without_replicas
from tests.kubernetes.scripted_cluster import ScriptedCluster
from tritonops.errors import NotRolledBackError
from tritonops.kubernetes.cluster.revision import RESTORED
from tritonops.kubernetes.manifests.names import CUSTOM_KINDS, RELEASE
from tritonops.kubernetes.rollout.restore import last_served, restore, restored_deployment, roll_back_failed

OLD, MIDDLE, NEW = release_of("old"), release_of("middle"), release_of("new")


def after(*sets, entries=(), annotations=None, **options):
    deployment = live_deployment(NEW, **options)
    deployment["metadata"]["managedFields"] = [*entries]
    deployment["metadata"]["annotations"] |= annotations or {}
    return live(deployment, sets, rendered(OLD)[1:], rendered(NEW)[1:])


def test_the_last_release_that_a_deploy_saw_serve_is_the_one_to_roll_back_to():
    sets = (
        replica_set(1, OLD),
        replica_set(2, MIDDLE, result="failed: no memory"),
        replica_set(3, MIDDLE, result=None),
        replica_set(4, NEW),
    )
    found = after(*sets)
    assert last_served(found) is found.revisions[3]
    assert last_served(found, but=NEW.digest) is found.revisions[0]
    assert last_served(after(replica_set(1, OLD)), but=OLD.digest) is None


def test_the_restored_deployment_has_the_template_of_the_revision_and_the_rest_as_it_is():
    found = after(replica_set(1, OLD), replica_set(2, NEW), replicas=5, entries=[applied()])
    made = restored_deployment(found, found.revisions[0], replicas=5)
    assert made["spec"]["template"] == rendered(OLD)[0]["spec"]["template"]
    own = {name: value for name, value in made["spec"].items() if name != "template"}
    assert own.items() <= found.deployment["spec"].items()
    assert own["replicas"] == 5
    assert made["metadata"]["labels"] == found.deployment["metadata"]["labels"]
    assert "status" not in made
    assert not {"uid", "managedFields", "resourceVersion"} & made["metadata"].keys()


def test_its_record_is_that_of_the_revision_with_who_rolled_back():
    found = after(replica_set(1, OLD), replica_set(2, NEW), annotations={CUSTOM_KINDS: "ScaledObject", "other": "x"})
    annotations = restored_deployment(found, found.revisions[0], replicas=2)["metadata"]["annotations"]
    assert annotations.items() >= {RELEASE: OLD.digest, CUSTOM_KINDS: "ScaledObject", **RECORD}.items()
    assert " by " in annotations[RESTORED]
    assert "other" not in annotations


def test_the_replicas_of_an_autoscaler_stay_its_own():
    found = after(replica_set(1, OLD), entries=[applied(without_replicas()), AUTOSCALER])
    assert "replicas" not in restored_deployment(found, found.revisions[0], replicas=None)["spec"]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    return ScriptedCluster(tmp_path / "bin", monkeypatch)


def test_a_revision_whose_config_maps_are_gone_is_not_served_again_and_nothing_is_changed(cluster):
    cluster.set_objects([live_deployment(NEW), replica_set(1, OLD), replica_set(2, NEW), *rendered(NEW)[1:]])
    found = live(live_deployment(NEW), replica_set(1, OLD))
    with pytest.raises(NotRolledBackError, match=f"the ConfigMaps of the release {OLD.digest} are gone"):
        restore(cluster.kubectl, TARGET, found.revisions[0], token=None, on_step=print)
    reason = roll_back_failed(cluster.kubectl, found, found.revisions[0], failed=NEW.digest, token=None, on_step=print)
    assert "are gone" in str(reason)
    assert all(words.startswith("get ") for words in cluster.script.calls)


def test_a_rollback_applies_the_deployment_waits_for_its_pods_and_notes_that_they_serve(cluster, triton, monkeypatch):
    cluster.set_triton(triton.grpc_url.rpartition(":")[2])
    back = live_deployment(OLD)
    back["metadata"]["managedFields"] = [applied()]
    *maps, programs = rendered(OLD)[1:]
    programs["data"]["started.sh"] = "true\n"  # a release without models, which any Triton serves
    pods = [pod("p-1", 3, status=ready_status()), pod("p-2", 3, status=ready_status())]
    cluster.set_objects([back, replica_set(3, OLD), *maps, programs, *pods])
    steps = list[str]()
    revision = live(back, replica_set(3, OLD)).revisions[0]
    done = restore(cluster.kubectl, TARGET, revision, token=None, on_step=steps.append)
    assert done.current
    assert done.current.number == 3
    changes = [words for words in cluster.script.calls if words.split()[0] not in ("get", "port-forward")]
    assert changes == [
        "apply --server-side --force-conflicts --field-manager=tritonops --filename=-",
        "annotate replicasets.apps production-triton-hash3 tritonops/by=ci@runner tritonops/commit=abc1234 "
        "tritonops/at=2026-11-30T10:00:00Z tritonops/result=served tritonops/result-of=2026-11-30T10:00:00Z - "
        "tritonops/restored- --overwrite --output=name",
    ]
    assert steps[-1] == "p-2: serves 0 versions"
