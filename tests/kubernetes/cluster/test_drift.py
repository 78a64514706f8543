"""What somebody changed in the cluster: shown, put right, and never taken from somebody else."""

import json
from typing import Any

import pytest

from tests.kubernetes.cluster.team import QUICK, kubectl
from tritonops.errors import ForeignObjectError, InputError, NotRolledBackError
from tritonops.kubernetes.deploy import deploy
from tritonops.kubernetes.plan import plan
from tritonops.kubernetes.rollback import roll_back
from tritonops.kubernetes.status import status

MODELS = ["alpha"]
NAME = "production-triton"


@pytest.fixture(scope="module")
def served(team):
    """A target that serves."""
    deploy(team.project(), team.target(), on_step=print)
    return team


def changes(team, target):
    """The changes of a plan, by object; those of models and configs by their labels."""
    return {(each.what, each.name): each for each in plan(team.project(), target).changes}


def deploy_branches(team, *branches):
    """Deploy one version of alpha after the other."""
    for branch in branches:
        team.write_catalog({"alpha": branch})
        deploy(team.project(), team.target(), on_step=print)


def change_by_hand(team, *words):
    """Run kubectl as somebody else would."""
    return kubectl("-n", team.namespace, *words)


def test_what_was_changed_and_what_was_added_by_hand_is_shown_and_put_right(served):
    target = served.target()
    change_by_hand(served, "set", "env", f"deployment/{NAME}", "--containers=triton", "LOG_LEVEL=9")
    change_by_hand(served, "scale", f"deployment/{NAME}", "--replicas=2")
    policy: dict[str, Any] = {"spec": {"ingress": [{}]}}
    change_by_hand(served, "patch", f"networkpolicy/{NAME}", "--type=merge", "--patch", json.dumps(policy))
    found = changes(served, target)
    diff = found["Deployment", NAME].diff
    assert "-  replicas: 2\n+  replicas: 1\n" in diff
    assert "-spec.template.spec.containers[triton].env[LOG_LEVEL]  (set by somebody else)\n" in diff
    assert set(found) == {("Deployment", NAME), ("NetworkPolicy", NAME)}
    steps = list[str]()
    assert deploy(served.project(), target, on_step=steps.append).result == "deployed"
    assert any("or somebody changed the Deployment since" in step for step in steps)
    assert "LOG_LEVEL" not in str(served.live(target).deployment)
    assert deploy(served.project(), target, on_step=print).result == "no changes"
    assert not plan(served.project(), target).is_different


@pytest.mark.parametrize("options", [{"claim": "models"}, {"host_path": "/srv"}], ids=["claim", "node"])
def test_models_may_be_kept_elsewhere_from_now_on(served, options):
    """The API server takes the change, in the dry run of its apply."""
    assert set(changes(served, served.target(**options))) == {("Deployment", NAME)}


def test_a_patch_of_an_object_that_is_not_rendered_is_wrong_input(served):
    target = served.target(patch=QUICK)
    target.patch.write_text(target.patch.read_text().replace(NAME, "prodution-triton"))
    with pytest.raises(InputError, match=r"patch of the target does not fit: .*prodution-triton"):
        plan(served.project(), target)


def test_a_restart_of_the_pods_is_no_drift(served):
    target = served.target()
    change_by_hand(served, "rollout", "restart", f"deployment/{NAME}")
    change_by_hand(served, "rollout", "status", f"deployment/{NAME}", "--timeout=120s")
    assert not changes(served, target)
    assert plan(served.project(), target).is_different  # nobody has seen the new pods serve
    assert deploy(served.project(), target, on_step=print).result == "finished"
    assert not plan(served.project(), target).is_different


def test_an_object_that_is_gone_comes_back_and_one_that_is_not_rendered_goes(served):
    target = served.target()
    change_by_hand(served, "delete", f"service/{NAME}")
    labels = served.live(target).deployment["metadata"]["labels"]
    extra = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 1, "protocol": "TCP"}]}}
    extra["metadata"] = {"name": "production-triton-extra", "labels": labels}
    # As an earlier deploy applied it; the next one is somebody's own, to which kubectl gives our labels.
    words = ["apply", "--server-side", "--field-manager=tritonops", "--filename=-"]
    served.kubectl.output(words, stdin=json.dumps(extra))
    change_by_hand(served, "expose", "deployment", NAME, f"--name={NAME}-lb", "--port=80")
    found = changes(served, target)
    assert {name: each.change for name, each in found.items()} == {
        ("Service", NAME): "add",
        ("Service", "production-triton-extra"): "remove",
    }
    result = deploy(served.project(), target, on_step=print)
    assert result.removed == ("Service/production-triton-extra",)
    assert change_by_hand(served, "get", "service", f"{NAME}-lb", "--output=name")
    assert not changes(served, target)


def test_what_somebody_else_made_under_our_name_is_left_alone(served):
    target = served.target("other")
    change_by_hand(served, "create", "serviceaccount", "other-triton")
    for act in (plan, lambda *args: deploy(*args, on_step=print)):
        with pytest.raises(ForeignObjectError, match="ServiceAccount/other-triton"):
            act(served.project(), target)
    assert "tritonops" not in change_by_hand(served, "get", "serviceaccount", "other-triton", "-o", "yaml")
    change_by_hand(served, "delete", "serviceaccount", "other-triton")


def test_manifests_that_were_applied_with_kubectl_are_taken_over(served):
    target = served.target()
    live = served.live(target).deployment
    fields = [{**entry, "manager": "kubectl"} for entry in live["metadata"]["managedFields"]]
    patch = json.dumps({"metadata": {"managedFields": fields}})
    change_by_hand(served, "patch", f"deployment/{NAME}", "--type=merge", "--patch", patch)
    assert "applied with kubectl" in changes(served, target)["Deployment", NAME].diff
    deploy(served.project(), target, on_step=print)
    assert not changes(served, target)


def test_a_rollback_leaves_nothing_of_what_was_changed_by_hand(served):
    target, first = served.target(), served.live(served.target()).current.release
    served.write_catalog({"alpha": "second"})
    deploy(served.project(), target, on_step=print)
    change_by_hand(served, "set", "env", f"deployment/{NAME}", "--containers=triton", "LOG_LEVEL=9")
    result = roll_back(served.project(), target, to=None, on_step=print)
    assert result.release == first
    assert "LOG_LEVEL" not in str(served.live(target).deployment)
    served.write_catalog({"alpha": "main"})
    assert not changes(served, target)


@pytest.mark.once
def test_an_undone_rollout_leaves_no_result_behind(served):
    target = served.target()
    deploy_branches(served, "main", "second")
    roll_back(served.project(), target, to=None, on_step=print)
    roll_back(served.project(), target, to=None, on_step=print)
    change_by_hand(served, "rollout", "undo", f"deployment/{NAME}")
    annotations = json.loads(change_by_hand(served, "get", "deployment", NAME, "-o", "json"))["metadata"]["annotations"]
    assert {"tritonops/result", "tritonops/restored"} <= annotations.keys()
    change_by_hand(served, "rollout", "status", f"deployment/{NAME}", "--timeout=120s")
    served.write_catalog({"alpha": "main"})
    assert "-metadata.annotations.tritonops/result " in changes(served, target)["Deployment", NAME].diff
    deploy(served.project(), target, on_step=print)
    assert (served.live(target).current.result, served.live(target).current.restored) == ("served", None)
    assert deploy(served.project(), target, on_step=print).result == "no changes"


@pytest.mark.once
def test_a_release_that_was_rolled_back_to_and_is_deployed_again_serves(served):
    target = served.target()
    deploy_branches(served, "main", "second")
    roll_back(served.project(), target, to=None, on_step=print)
    deploy_branches(served, "second", "main")
    assert (served.live(target).current.result, served.live(target).current.restored) == ("served", None)
    assert deploy(served.project(), target, on_step=print).result == "no changes"


def test_a_deployment_whose_labels_somebody_changed_is_found(served):
    target = served.target()
    change_by_hand(served, "label", "deployment", NAME, "app.kubernetes.io/managed-by=Helm", "--overwrite")
    change_by_hand(served, "label", "service", NAME, "app.kubernetes.io/instance=an-app", "--overwrite")
    assert status(target, token=None).ready == 1
    assert {name for name in changes(served, target) if name[0] != "ConfigMap"} == {
        ("Deployment", NAME),
        ("Service", NAME),
    }
    assert deploy(served.project(), target, on_step=print).result == "deployed"
    assert not changes(served, target)


def test_an_object_that_a_patch_deletes_is_removed(served):
    target = served.target()
    assert target.patch
    policy: dict[str, Any] = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "$patch": "delete"}
    policy["metadata"] = {"name": NAME, "namespace": served.namespace}
    target.patch.write_text(f"{target.patch.read_text()}\n---\n{json.dumps(policy)}")
    assert {name: each.change for name, each in changes(served, target).items()} == {("NetworkPolicy", NAME): "remove"}
    assert deploy(served.project(), target, on_step=print).removed == (f"NetworkPolicy/{NAME}",)
    assert deploy(served.project(), target, on_step=print).result == "no changes"
    deploy(served.project(), served.target(), on_step=print)


@pytest.mark.once
def test_replicas_that_were_changed_by_hand_stay_in_a_rollback(served):
    target = served.target()
    change_by_hand(served, "patch", "deployment", NAME, "--type=merge", "--patch", '{"spec": {"replicas": 2}}')
    roll_back(served.project(), target, to=None, on_step=print)
    assert len(served.live(target).pods(served.live(target).current)) == 2
    change_by_hand(served, "scale", f"deployment/{NAME}", "--replicas=0")
    with pytest.raises(NotRolledBackError, match="has 0 replicas"):
        roll_back(served.project(), target, to=None, on_step=print)
    deploy(served.project(), target, on_step=print)
    assert len(served.live(target).pods(served.live(target).current)) == 1


@pytest.mark.once
def test_a_temporary_folder_may_have_a_space(served, tmp_path, monkeypatch):
    folder = tmp_path / "a folder"
    folder.mkdir()
    change_by_hand(served, "scale", f"deployment/{NAME}", "--replicas=2")
    monkeypatch.setenv("TMPDIR", str(folder))
    diff = changes(served, served.target())["Deployment", NAME].diff
    assert "-  replicas: 2\n+  replicas: 1\n" in diff
    assert str(folder) not in diff
    deploy(served.project(), served.target(), on_step=print)
