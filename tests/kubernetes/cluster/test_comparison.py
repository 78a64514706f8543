"""How `kubectl diff` is read, and what else a deploy would change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import programs
from tests.kubernetes.cluster.api_server import CONTEXT, NAMESPACE, api_server, status, write_kubeconfig
from tests.kubernetes.cluster.live_objects import live, live_deployment, release_of, rendered, replica_set
from tests.kubernetes.cluster.test_managed_fields import EDIT, applied
from tests.kubernetes.kubectl_script import write_script
from tritonops.errors import ClusterForbiddenError, ForeignObjectError, KubectlError
from tritonops.kubernetes.cluster.comparison import compare, require_own
from tritonops.kubernetes.cluster.kubectl import Kubectl

MAPS = "/api/v1/namespaces/triton/configmaps"
RELEASE = release_of("alpha")


def config_map(name, text, **metadata):
    found = {"name": name, "namespace": NAMESPACE, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": found, "data": {"file": text}}


def write_kustomization(folder, *objects):
    folder.mkdir(exist_ok=True)
    names = [f"{number}.yaml" for number, _ in enumerate(objects)]
    for name, each in zip(names, objects, strict=True):
        (folder / name).write_text(json.dumps(each))
    (folder / "kustomization.yaml").write_text(json.dumps({"resources": names}))
    return folder


@pytest.fixture
def api(tmp_path, monkeypatch):
    programs.require("kubectl", "diff")
    monkeypatch.setenv("HOME", str(tmp_path))
    with api_server() as server:
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "kubeconfig", server.url)))
        yield server


KUBECTL = Kubectl(CONTEXT, NAMESPACE)


def answer_diff(api, before, after):
    """Let the dry run of an apply make `after` of an object."""
    name = after["metadata"]["name"]
    if before:
        api.answers[f"GET {MAPS}/{name}"] = (200, before)
    api.answers[f"PATCH {MAPS}/{name}"] = (200 if before else 201, after)


@pytest.mark.parametrize("temporary", ["tmp", "with a space", "ünï"])
def test_each_object_that_would_change_has_a_diff_without_files_and_generations(api, tmp_path, monkeypatch, temporary):
    (tmp_path / temporary).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / temporary))
    objects = [config_map(f"{name}-triton", "new\n-- /a/LIVE-1/b\n") for name in ("changed", "same", "added")]
    for each, text, generation in zip(objects, ("old\n", None, ""), (1, 1, None), strict=True):
        before = None if generation is None else config_map(each["metadata"]["name"], text or each["data"]["file"])
        after = {**each, "metadata": {**each["metadata"], "generation": 2 if text else 1}}
        if before:
            before["metadata"]["generation"] = 1
        answer_diff(api, before, after)
    folder = write_kustomization(tmp_path / "manifests", *objects)
    found = compare(KUBECTL, folder, objects, live(), is_scaled=False)
    assert found.diffs.keys() == {("ConfigMap", "changed-triton"), ("ConfigMap", "added-triton")}
    changed = found.diffs["ConfigMap", "changed-triton"].splitlines()
    assert changed[0].startswith("@@")
    assert [line for line in changed if line[0] in "+-"] == ["-    old", "+    new", "+    -- /a/LIVE-1/b"]
    added = found.diffs["ConfigMap", "added-triton"].splitlines()
    assert "+  name: added-triton" in added
    assert not any("generation" in line or "MERGED" in line for line in added)
    applies = [body for request, body in api.requests if request.startswith("PATCH")]
    assert len(applies) == 3
    assert all(
        "dryRun=All&fieldManager=tritonops&force=true" in request for request, _ in api.requests if "PATCH" in request
    )


def test_where_nothing_would_change_there_is_no_diff(api, tmp_path):
    same = config_map("same-triton", "same\n")
    answer_diff(api, same, same)
    found = compare(KUBECTL, write_kustomization(tmp_path / "manifests", same), [same], live(), is_scaled=False)
    assert found.is_empty


def test_an_object_that_the_cluster_refuses_is_an_error_also_where_another_has_a_diff(api, tmp_path):
    objects = [config_map("a-triton", "new\n"), config_map("b-triton", "new\n")]
    answer_diff(api, config_map("a-triton", "old\n"), objects[0])
    refusal = status(403, "Forbidden", 'configmaps "b-triton" is forbidden: User "ci" cannot patch resource')
    api.answers[f"PATCH {MAPS}/b-triton"] = (403, refusal)
    with pytest.raises(ClusterForbiddenError, match='configmaps "b-triton" is forbidden'):
        compare(KUBECTL, write_kustomization(tmp_path / "manifests", *objects), objects, live(), is_scaled=False)


def test_a_diff_of_something_that_was_not_rendered_is_an_error(api, tmp_path):
    other = config_map("other-triton", "new\n")
    answer_diff(api, None, other)
    folder = write_kustomization(tmp_path / "manifests", other)
    with pytest.raises(KubectlError, match=r"compared v1\.ConfigMap\.triton\.other-triton, which was not rendered"):
        compare(KUBECTL, folder, [config_map("triton", "")], live(), is_scaled=False)


@pytest.fixture
def no_diff(tmp_path, monkeypatch):
    """A kubectl to which nothing differs."""
    write_script(tmp_path / "bin", "exit 0", monkeypatch)
    return Kubectl(CONTEXT, NAMESPACE, str(tmp_path / "bin/kubectl"))


def managed(found, *entries):
    return {**found, "metadata": {**found["metadata"], "managedFields": list(entries)}}


def test_what_others_added_is_a_change_that_no_diff_shows(no_diff):
    objects = rendered(RELEASE)
    state = live(managed(live_deployment(RELEASE), applied(), EDIT), replica_set(1, RELEASE), objects[1:])
    found = compare(no_diff, Path(), objects, state, is_scaled=False)
    deployment = ("Deployment", "production-triton")
    assert found.foreign.keys() == {deployment}
    assert "spec.template.spec.priorityClassName" in found.foreign[deployment]
    assert not found.is_empty


def test_an_object_that_was_applied_with_kubectl_is_told_apart(no_diff):
    objects = rendered(RELEASE)
    by_kubectl = {**applied(), "manager": "kubectl"}
    state = live(managed(live_deployment(RELEASE), by_kubectl), replica_set(1, RELEASE))
    found = compare(no_diff, Path(), objects, state, is_scaled=False)
    assert found.by_kubectl == (("Deployment", "production-triton"),)
    assert found.foreign == {}


def test_objects_of_an_earlier_release_are_removed_and_its_maps_only_when_no_kept_revision_needs_them(no_diff):
    old, older = release_of("old"), release_of("older")
    objects = [managed(each, applied()) for each in rendered(RELEASE)]
    state = live(
        managed(live_deployment(RELEASE), applied()),
        [replica_set(1, old), replica_set(2, RELEASE)],
        [*rendered(old)[1:], *rendered(older)[1:], *objects[1:]],
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "production-triton"}},
    )
    found = compare(no_diff, Path(), objects, state, is_scaled=False)
    assert [each["kind"] for each in found.removed] == ["PodDisruptionBudget"]
    assert {each["metadata"]["name"] for each in found.unused} == {
        each["metadata"]["name"] for each in rendered(older)[1:]
    }
    assert not found.is_empty
    without = live(*(each for each in state.objects if each["kind"] != "PodDisruptionBudget"))
    assert compare(no_diff, Path(), objects, without, is_scaled=False).is_empty


def test_an_object_that_belongs_to_somebody_else_is_never_replaced(api, tmp_path):
    mine, theirs = config_map("a-triton", ""), config_map("b-triton", "")
    folder = write_kustomization(tmp_path / "manifests", mine, theirs)
    api.answers[f"GET {MAPS}/b-triton"] = (200, theirs)
    require_own(KUBECTL, folder, [])
    assert not api.requests
    require_own(KUBECTL, folder, [("ConfigMap", "a-triton")])
    with pytest.raises(ForeignObjectError, match=r"ConfigMap/b-triton in triton: not made by tritonops"):
        require_own(KUBECTL, folder, [("ConfigMap", "a-triton"), ("ConfigMap", "b-triton")])
    api.answers[f"GET {MAPS}/a-triton"] = (200, mine)
    with pytest.raises(ForeignObjectError, match=r"ConfigMap/a-triton, ConfigMap/b-triton in triton"):
        require_own(KUBECTL, folder, [("ConfigMap", "b-triton"), ("ConfigMap", "a-triton")])
