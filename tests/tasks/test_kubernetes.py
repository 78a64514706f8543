"""The tasks of clusters as they are typed: what they print, where, and with which exit code."""

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tasks.command_line.json_documents import DOCUMENTS
from tasks.command_line.json_schema import json_schema
from tasks.shared import checkout
from tasks.shared.release_cache import cache_releases
from tests import programs
from tests.kubernetes.cluster.live_objects import UID, pod, ready_status, replica_set
from tests.kubernetes.projects import IMAGE, INIT_IMAGE, load, write_project
from tests.kubernetes.scripted_cluster import ScriptedCluster
from tritonops.kubernetes.cluster.revision import RESULT
from tritonops.kubernetes.manifests.versions import parse_version
from tritonops.kubernetes.render import render

TARGET = f'context = "gpu-eu"\nnamespace = "triton"\nimage = "{IMAGE}"\ninit_image = "{INIT_IMAGE}"\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A checkout with two targets; the shell is in it."""
    write_project(tmp_path)
    (tmp_path / "kubernetes.toml").write_text(
        f"[targets.production]\n{TARGET}replicas = 2\n[targets.staging]\n{TARGET}spare = true\n"
    )
    monkeypatch.setattr(checkout, "PROJECT", tmp_path)
    monkeypatch.chdir(tmp_path)
    checkout.project.cache_clear()
    yield tmp_path
    checkout.project.cache_clear()


def test_manifests_are_printed_alone_and_notes_go_to_stderr(inv, folder):
    code, out, err = inv("kubernetes.render", "--target", "production", "--kubernetes-version", "1.20")
    assert code == 0
    assert [each["kind"] for each in yaml.safe_load_all(out)].count("Deployment") == 1
    assert "production: left out: PodDisruptionBudget in policy/v1 (from Kubernetes 1.21)" in err
    assert inv("kubernetes.render", "--target", "production", "--kubernetes-version", "1.20")[1] == out


def test_a_folder_for_each_target_is_written_once(inv, folder):
    code, out, err = inv("kubernetes.render", "--kubernetes-version", "1.34", "--output", "manifests")
    assert code == 0
    assert [line.split()[3] for line in out.splitlines()] == ["STATE", "written", "written"]
    assert "kubectl --context gpu-eu apply --server-side -k manifests/staging" in err
    assert sorted(path.name for path in (folder / "manifests").iterdir()) == ["production", "staging"]
    out = inv("kubernetes.render", "--kubernetes-version", "1.34", "--output", "manifests")[1]
    assert [line.split()[3] for line in out.splitlines()] == ["STATE", "unchanged", "unchanged"]


def test_the_document_has_every_object_and_what_was_left_out(inv, folder):
    command = ("kubernetes.render", "--kubernetes-version", "1.26", "--json")
    for options in ((), ("--output", "manifests")):
        code, out, _ = inv(*command, *options)
        assert code == 0
        found = json.loads(out)
        Draft202012Validator(json_schema(DOCUMENTS["kubernetes.render"])).validate(found)
        assert [each["target"] for each in found] == ["production", "staging"]
        assert {each["kind"] for each in found[0]["objects"]} >= {"Deployment", "Service"}
        assert [each["folder"] for each in found] == (
            ["manifests/production", "manifests/staging"] if options else [None] * 2
        )
        assert "unhealthyPodEvictionPolicy" in str(found[0]["left_out"])


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["--kubernetes-version", "latest"], "expected a version like 1.34", "kubectl version"),
        (["--kubernetes-version", "1.34", "--target", "prodution"], "has no target 'prodution'", "'production'"),
    ],
)
def test_what_is_missing_or_wrong_ends_with_2_and_what_to_give(inv, folder, words, message, hint):
    code, out, err = inv("kubernetes.render", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert hint in err


def test_the_version_is_asked_of_the_cluster_unless_it_is_given(inv, folder, monkeypatch):
    cluster = ScriptedCluster(folder / "bin", monkeypatch)
    code, out, _ = inv("kubernetes.render", "--target", "production")
    assert code == 0
    assert cluster.script.calls == ["version --output=json"]
    assert inv("kubernetes.render", "--target", "production", "--kubernetes-version", "1.34")[1] == out
    assert len(cluster.script.calls) == 1


TARGET_TASKS = ("deploy", "plan", "rollback", "releases", "status", "logs", "remove")


@pytest.mark.parametrize("task", ["render", *TARGET_TASKS])
def test_without_kubectl_the_hint_says_where_to_get_it(inv, folder, monkeypatch, task):
    monkeypatch.setenv("PATH", str(folder))
    code, out, err = inv(f"kubernetes.{task}", "--target", "production")
    assert (code, out) == (1, "")
    assert err.startswith("error: there is no kubectl command here\nhint: Install kubectl: https://")


@pytest.mark.parametrize("task", ["render", *TARGET_TASKS])
def test_a_context_that_kubectl_does_not_have_ends_with_2(inv, folder, monkeypatch, task):
    programs.require("kubectl")
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    code, out, err = inv(f"kubernetes.{task}", "--target", "production")
    assert (code, out) == (2, "")
    assert err.startswith("error: kubectl has no context 'gpu-eu'\nhint: kubectl config get-contexts")


@pytest.mark.parametrize("task", TARGET_TASKS)
def test_a_task_about_one_target_asks_which_where_there_are_several(inv, folder, task):
    code, _, err = inv(f"kubernetes.{task}")
    assert code == 2
    assert err == "error: which target?\nhint: --target production; kubernetes.toml has: production, staging.\n"


class ServedCluster(ScriptedCluster):
    """A cluster that serves production once `serve` was called."""

    def __init__(self, folder, patch):
        super().__init__(folder / "bin", patch)
        project = load(folder)
        self.release = (made := render(project, project.targets.by_name["production"], parse_version("1.34"))).release
        objects = [managed(each) for each in made.objects]
        (deployment,) = (each for each in objects if each["kind"] == "Deployment")
        counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"), 1)
        deployment["metadata"] |= {"uid": UID, "generation": 1}
        deployment["spec"]["replicas"] = 1
        deployment["status"] = {"observedGeneration": 1, **counts}
        revision = replica_set(1, self.release)
        revision["spec"]["template"] = deployment["spec"]["template"]
        revision["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] = "hash1"
        self.objects = [*objects, revision, pod("p-1", 1, status=ready_status())]

    def serve(self):
        self.set_objects(self.objects)


@pytest.fixture
def cluster(folder, monkeypatch):
    return ServedCluster(folder, monkeypatch)


def managed(found):
    fields: dict[str, Any] = {f"f:{name}": {} for name in ("spec", "data", "binaryData") if name in found}
    entry = {"manager": "tritonops", "operation": "Apply", "apiVersion": found["apiVersion"]}
    entries = [{**entry, "fieldsV1": {**fields, "f:metadata": {"f:labels": {}}}}]
    return {**found, "metadata": {**found["metadata"], "managedFields": entries}}


def document(inv, task, *words, code=0):
    ended, out, err = inv(task, "--target", "production", *words, "--json")
    assert ended == code, err
    found = json.loads(out)
    Draft202012Validator(json_schema(DOCUMENTS[task])).validate(found)
    return found


def test_a_target_that_serves_this_release_has_no_changes_and_a_deploy_changes_nothing(inv, cluster):
    cluster.serve()
    assert inv("kubernetes.plan", "--target", "production") == (0, "", "no changes\n")
    assert document(inv, "kubernetes.plan")["changes"] == []
    code, out, _ = inv("kubernetes.deploy", "--target", "production")
    assert code == 0
    assert out.splitlines()[1].split()[:3] == ["production", "no", "changes"]
    assert document(inv, "kubernetes.deploy")["result"] == "no changes"
    assert {words.split()[0] for words in cluster.script.calls} <= {"version", "get", "diff"}


@pytest.mark.parametrize("words", [["kubernetes.plan"], ["kubernetes.deploy", "--dry", "--timeout", "5"]])
def test_a_preview_of_a_deploy_that_was_interrupted_applies_nothing(inv, cluster, words):
    (revision,) = (each for each in cluster.objects if each["kind"] == "ReplicaSet")
    del revision["metadata"]["annotations"][RESULT]
    cluster.serve()
    code, _, err = inv(*words, "--target", "production")
    assert code == 4
    release = cluster.release.digest
    assert f"different: production: {release} is applied, and not all of its pods were seen to serve" in err
    assert "hint: inv kubernetes.deploy --target production" in err
    assert {words.split()[0] for words in cluster.script.calls} == {"version", "get", "diff"}


def test_the_hint_of_a_plan_is_a_deploy_that_is_allowed(inv, cluster, folder):
    code, _, err = inv("kubernetes.plan", "--target", "production")
    assert (code, err.splitlines()[-1]) == (4, "hint: inv kubernetes.deploy --target production")
    path = folder / "kubernetes.toml"
    path.write_text(path.read_text().replace("replicas = 2\n", ""))
    checkout.project.cache_clear()
    code, _, err = inv("kubernetes.plan", "--target", "production")
    assert code == 4
    assert "hint: inv kubernetes.deploy --target production --allow-downtime, which " in err


def test_a_plan_names_what_others_added(inv, cluster):
    fields: dict[str, Any] = {"f:spec": {"f:type": {}}}
    service = next(each for each in cluster.objects if each["kind"] == "Service")
    service["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"] = {"f:ports": {}}
    service["metadata"]["managedFields"].append({"manager": "kubectl-edit", "operation": "Update", "fieldsV1": fields})
    cluster.serve()
    name = service["metadata"]["name"]
    code, out, err = inv("kubernetes.plan", "--target", "production")
    assert (code, err.splitlines()[0]) == (4, "different: a deploy would change this")
    assert "-spec.type  (set by somebody else)" in out
    assert "1 to change" in out
    (change,) = document(inv, "kubernetes.plan", code=4)["changes"]
    assert (change["what"], change["name"], change["change"]) == ("Service", name, "change")
    code, out, _ = inv("kubernetes.plan", "--target", "production", "--format", "markdown")
    assert code == 4
    assert f"Service/{name}" in out


def test_the_status_has_each_pod_with_what_its_triton_serves(inv, cluster):
    cluster.serve()
    code, out, err = inv("kubernetes.status", "--target", "production")
    assert code == 0, err
    release = cluster.release.digest
    assert out.startswith(f"production: release {release}, revision 1, by ci@runner at 2026-11-30T10:00:00Z: served\n")
    assert "1 of 1 pods are ready" in out
    (found,) = document(inv, "kubernetes.status")["pods"]
    assert (found["pod"], found["release"], found["node"]) == ("p-1", release, "node-1")
    assert found["state"] == "ready; cannot reach the pod p-1: error: lost connection to pod"
    assert (found["served"], found["expected"]) == (None, 3)


def test_the_status_of_a_target_that_is_not_deployed_says_so(inv, cluster):
    assert inv("kubernetes.status", "--target", "production") == (0, "", "production: nothing is deployed in triton\n")
    assert document(inv, "kubernetes.status")["release"] is None


def test_releases_are_listed_with_who_deployed_them(inv, cluster):
    cluster.serve()
    code, out, _ = inv("kubernetes.releases", "--target", "production")
    assert code == 0
    assert out.splitlines()[1].split()[:3] == ["1", cluster.release.digest, "ci@runner"]
    (found,) = document(inv, "kubernetes.releases")
    assert (found["revision"], found["result"], found["current"]) == (1, "served", True)


def test_a_rollback_without_a_release_before_or_to_an_unknown_one_is_refused(inv, cluster):
    cluster.serve()
    code, _, err = inv("kubernetes.rollback", "--target", "production")
    assert code == 2
    assert "error: production has no release before the current one that served" in err
    code, _, err = inv("kubernetes.rollback", "--target", "production", "--to", "beef")
    assert (code, "production has no release 'beef' that served" in err) == (2, True)
    assert document(inv, "kubernetes.rollback", "--to", "1")["result"] == "no changes"


def test_logs_are_those_of_every_pod(inv, cluster):
    cluster.serve()
    cluster.set_triton(1, "[pod/p-1/triton] started\n")
    assert inv("kubernetes.logs", "--target", "production", "--lines", "7")[:2] == (0, "[pod/p-1/triton] started\n")
    assert cluster.script.calls[-1] == "logs p-1 --container=triton --tail=7 --prefix"
    assert inv("kubernetes.logs", "--target", "production", "--previous", "--follow")[0] == 0
    assert cluster.script.calls[-1].startswith("logs --selector=app.kubernetes.io/name=triton,")
    assert " --previous --ignore-errors --follow " in cluster.script.calls[-1]
    assert document(inv, "kubernetes.logs") == {"lines": ["[pod/p-1/triton] started"]}
    code, _, err = inv("kubernetes.logs", "--target", "production", "--follow", "--json")
    assert (code, "--follow and --json: give one of them" in err) == (2, True)


def test_a_container_without_a_log_is_not_asked_for_it(inv, cluster):
    """kubectl would print an error among the lines, or nothing, and end with 0."""
    cluster.serve()
    code, out, err = inv("kubernetes.logs", "--target", "production", "--previous")
    assert (code, out) == (2, "")
    assert err.startswith("error: no container of production has ended and started again\nhint: inv kubernetes.status")
    (found,) = (each for each in cluster.objects if each["kind"] == "Pod")
    statuses = found["status"]["containerStatuses"]
    statuses[0]["lastState"] = {"terminated": {"exitCode": 137}}
    statuses.append({"name": "other", "state": {"waiting": {"reason": "PodInitializing"}}})
    cluster.serve()
    for words, call in ([], "--tail=100 --prefix"), (["--previous"], "--tail=100 --prefix --previous"):
        assert inv("kubernetes.logs", "--target", "production", *words)[0] == 0
        assert cluster.script.calls[-1] == f"logs p-1 --container=triton {call}"
    found["status"] = {"phase": "Pending"}
    cluster.serve()
    code, _, err = inv("kubernetes.logs", "--target", "production")
    assert (code, "error: no container of production has started" in err) == (2, True)


def test_a_failed_release_is_listed_with_its_reason_on_one_line(inv, cluster):
    (found,) = (each for each in cluster.objects if each["kind"] == "ReplicaSet")
    release = cluster.release.digest
    reason = f"p-1: {'no memory, ' * 20}events of p-1: BackOff"
    found["metadata"]["annotations"] |= {
        RESULT: f"failed: production: the release {release} does not serve; nothing changed for 8 s: {reason}",
        "tritonops/commit": "ae695d8 with changes",
    }
    cluster.serve()
    code, out, _ = inv("kubernetes.releases", "--target", "production")
    assert code == 0
    assert "  ae695d8-dirty  failed  yes      nothing changed for 8 s: p-1: no memory, " in out
    assert max(map(len, out.splitlines())) < 180
    (listed,) = document(inv, "kubernetes.releases")
    assert listed["result"].endswith("events of p-1: BackOff")


def test_a_removal_needs_a_word_and_names_what_it_removes(inv, cluster):
    cluster.serve()
    code, out, err = inv("kubernetes.remove", "--target", "production")
    assert (code, "Use --yes to confirm" in err) == (2, True)
    assert "production-triton" in out
    assert not any(words.startswith("delete") for words in cluster.script.calls)
    found = document(inv, "kubernetes.remove", "--yes")
    assert {each["kind"] for each in found} >= {"Deployment", "ConfigMap", "Service"}
    assert cluster.script.calls[-1].startswith("delete ")


def test_the_tasks_of_a_server_ask_a_pod_of_the_target(inv, cluster, triton):
    cluster.serve()
    cluster.set_triton(triton.grpc_url.rpartition(":")[2])
    code, out, err = inv("triton.ready", "--target", "production", "--json")
    assert (code, json.loads(out)) == (0, {"ready": True})
    assert err == f"production: pod p-1, release {cluster.release.digest}, one of 1, ready\n"
    assert cluster.script.calls[-1] == "port-forward pod/p-1 :8001 --address=127.0.0.1"
    for task in ("list", "stats"):
        assert inv(f"triton.{task}", "--target", "production", "--json")[0] == 0
    del cluster.objects[-1]
    cluster.serve()
    code, _, err = inv("triton.list", "--target", "production")
    assert (code, "error: no pod of production runs Triton" in err) == (1, True)


@pytest.mark.parametrize(
    "words", [["load", "x"], ["unload", "x"], ["serve", "x", "--versions", "all"], ["plan"], ["apply"]]
)
def test_what_pods_serve_changes_with_a_rollout_and_not_with_a_task_of_a_server(inv, folder, words):
    code, _, err = inv(f"triton.{words[0]}", *words[1:], "--target", "production")
    assert code == 2
    assert "error: --target production: pods serve one release each" in err
    assert "inv kubernetes.deploy --target production" in err


@pytest.mark.parametrize("other", ["--url", "--host"])
def test_a_server_is_named_once(inv, folder, other):
    code, _, err = inv("triton.list", "--target", "production", other, "127.0.0.1:1")
    assert (code, f"error: {other} and --target: give one of them" in err) == (2, True)


def test_one_pod_without_a_spare_needs_a_word(inv, folder):
    (folder / "kubernetes.toml").write_text(f"[targets.production]\n{TARGET}")
    command = ("kubernetes.render", "--kubernetes-version", "1.34")
    code, _, err = inv(*command)
    assert code == 2
    assert "--allow-downtime" in err
    code, out, _ = inv(*command, "--allow-downtime")
    assert code == 0
    assert "type: Recreate" in out


def test_nothing_is_written_where_one_of_several_targets_cannot_be_rendered(inv, folder):
    with (folder / "kubernetes.toml").open("a") as file:
        file.write(f"[targets.last]\n{TARGET}")
    assert inv("kubernetes.render", "--kubernetes-version", "1.34", "--output", "manifests")[0] == 2
    assert not (folder / "manifests").exists()


def test_targets_are_completed(inv, folder):
    def candidates(*words):
        return [line.partition("\t")[0] for line in inv("--complete-words", "zsh", "inv", *words)[1].splitlines()]

    assert candidates("kubernetes.render", "--target", "") == ["production", "staging"]
    assert candidates("kubernetes.render", "--target", "s") == ["staging"]
    assert candidates("kubernetes.render", "--output", "") == [":files"]
    for task in (*(f"kubernetes.{name}" for name in TARGET_TASKS), "triton.list", "triton.infer", "triton.load"):
        assert candidates(task, "--target", "p") == ["production"]
    assert "kubernetes.render" in candidates("kub")


def test_releases_of_a_cluster_are_not_completed_from_those_of_hosts(inv, folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    cache_releases("gpu-01", ["r7-abc"])

    def candidates(*words):
        return inv("--complete-words", "zsh", "inv", *words)[1].split()

    assert candidates("remote.rollback", "--host", "gpu-01", "--to", "") == ["r7-abc"]
    assert candidates("kubernetes.rollback", "--target", "production", "--to", "") == []
