"""What a cluster refuses: its own reason, what to do, and the exit code."""

import json

import pytest

from tests.kubernetes.cluster import machine
from tests.kubernetes.cluster.team import kubectl
from tritonops.errors import (
    ClusterForbiddenError,
    ClusterUnreachableError,
    DeployError,
    LoginRefusedError,
    RolledBackError,
    UnknownContextError,
    UnknownNamespaceError,
)
from tritonops.kubernetes.deploy import deploy
from tritonops.kubernetes.releases import releases
from tritonops.kubernetes.remove import make_removal, remove
from tritonops.kubernetes.status import status
from tritonops.kubernetes.targets.target import Key, Secrets

MODELS = ["alpha"]


def act(team, target):
    """Look at a target, and deploy to it: each raises the same."""
    yield lambda: deploy(team.project(), target, on_step=print)
    yield lambda: status(target, token=None)
    yield lambda: releases(target)
    yield lambda: make_removal(target)


@pytest.mark.parametrize(
    ("options", "error", "code", "words"),
    [
        ({"context": "prodution"}, UnknownContextError, 2, "no context 'prodution'"),
        ({"namespace": "triton-x"}, UnknownNamespaceError, 2, "no namespace 'triton-x'"),
    ],
    ids=["context", "namespace"],
)
def test_a_wrong_context_or_namespace_is_named(team, options, error, code, words):
    for attempt in act(team, team.target(**options)):
        with pytest.raises(error, match=words) as caught:
            attempt()
        assert caught.value.exit_code == code


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        (lambda text: text.replace("https://127.0.0.1:", "https://127.0.0.1:1"), ClusterUnreachableError, 3),
        (lambda text: text.replace("https://127.0.0.1", "https://no-such-host.invalid"), ClusterUnreachableError, 3),
        (lambda text: text.replace("certificate-authority:", "tls-server-name: a, x-y:"), ClusterUnreachableError, 3),
        (lambda text: text.replace("token: ", "token: x"), LoginRefusedError, 1),
        (lambda text: machine.GUEST.read_text(), ClusterForbiddenError, 1),
    ],
    ids=["refused", "unknown host", "certificate", "token", "forbidden"],
)
def test_a_cluster_that_does_not_answer_or_not_to_us_says_why(team, change, error, code, tmp_path, monkeypatch):
    config = tmp_path / "config"
    config.write_text(change(machine.ADMIN.read_text()))
    monkeypatch.setenv("KUBECONFIG", str(config))
    for attempt in act(team, team.target()):
        with pytest.raises(error) as caught:
            attempt()
        assert (caught.value.exit_code, bool(caught.value.hint)) == (code, True)


def test_who_may_not_ask_pods_what_they_serve_is_refused_before_anything_is_applied(team, monkeypatch):
    kinds = "deployments.apps,replicasets.apps,configmaps,services,serviceaccounts,pods,events"
    kinds += ",networkpolicies.networking.k8s.io,poddisruptionbudgets.policy,horizontalpodautoscalers.autoscaling"
    kubectl("-n", team.namespace, "create", "role", "applies", "--verb=*", f"--resource={kinds}")
    kubectl("-n", team.namespace, "create", "rolebinding", "applies", "--role=applies", "--group=guests")
    monkeypatch.setenv("KUBECONFIG", str(machine.GUEST))
    with pytest.raises(ClusterForbiddenError, match="pods/portforward"):
        deploy(team.project(), team.target("fresh"), on_step=print)
    assert team.live(team.target("fresh")).deployment is None
    kubectl("-n", team.namespace, "delete", "rolebinding", "applies")


@pytest.fixture
def target(team):
    """A target of its own, gone with the test."""
    made = team.target("fresh")
    yield made
    remove(make_removal(made))


def reason(team, **options):
    """Why a first deploy of a target failed."""
    with pytest.raises(DeployError) as caught:
        deploy(team.project(), team.target("fresh", **options), on_step=print)
    assert "Nothing served before" in str(caught.value)
    return str(caught.value)


def test_a_quota_is_named(team, target):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "1"}},
    }
    team.kubectl.output(["create", "--filename=-"], stdin=json.dumps(quota))
    try:
        assert "exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1" in reason(team)
    finally:
        kubectl("-n", team.namespace, "delete", "resourcequota", "small")


def test_an_image_that_cannot_be_had_is_named(team, target):
    found = reason(team, image="localhost/no-such-image:1")
    assert "ErrImagePull: localhost/no-such-image:1: " in found  # and why, not only that the cluster waits


def test_a_gpu_that_no_node_has_is_named_and_the_deploy_ends_within_its_budget(team, target):
    with pytest.raises(DeployError) as caught:
        deploy(team.project(), team.target("fresh", gpus=1), stall=8, on_step=print)
    assert "Insufficient nvidia.com/gpu" in str(caught.value)


def test_a_secret_that_is_not_there_is_named(team, target):
    found = reason(team, secrets=Secrets(hf_token=Key("hub", "HF_TOKEN")))
    assert 'secret "hub" not found' in found


def test_the_reason_of_the_init_container_ends_the_deploy_and_the_old_pods_go_on(team, target):
    deploy(team.project(), target, on_step=print)
    (before,) = (pod["metadata"]["name"] for pod in team.live(target).pods())
    entries = (team.folder / "models.lock").read_text()
    size = next(line for line in entries.splitlines() if "sha256" in line)
    digest = size.split('sha256 = "')[1][:64]
    (team.folder / "models.lock").write_text(entries.replace(digest, "0" * 64))
    try:
        with pytest.raises(RolledBackError) as caught:
            deploy(team.project(), target, on_step=print)
    finally:
        (team.folder / "models.lock").write_text(entries)
    assert "the init container failed" in str(caught.value)
    assert "the bytes that came have another hash" in str(caught.value)
    (after,) = (pod["metadata"]["name"] for pod in team.live(target).pods())
    assert after == before
    assert deploy(team.project(), target, on_step=print).result == "no changes"
