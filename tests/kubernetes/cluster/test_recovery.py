"""What happened before a deploy, or happens beside it, is no reason to fail, and none to roll back."""

import os
import shutil
import time
from dataclasses import replace

import pytest

from tests.hub.server import GOOD_TOKEN
from tests.kubernetes.cluster.team import kubectl
from tritonops.errors import DeployError, KubectlError, PartialFailureError, RolledBackError
from tritonops.kubernetes.deploy import deploy
from tritonops.kubernetes.rollout.preview import make_preview
from tritonops.kubernetes.rollout.restore import roll_back_failed
from tritonops.kubernetes.targets.target import Key, Secrets

MODELS = ["alpha"]
NAME = "production-triton"


@pytest.fixture
def target(team):
    """A target that serves; the tests leave it so."""
    deploy(team.project(), team.target(), on_step=print)
    return team.target()


def wait_for(team, target, condition):
    """Wait until the pods of a target are so."""
    end = time.monotonic() + 90
    while not condition(pods := team.live(target).pods()):
        assert time.monotonic() < end, [pod["status"] for pod in pods]
        time.sleep(1)


@pytest.mark.once
def test_a_pod_that_was_evicted_does_not_fail_what_is_deployed_next(team, target):
    (pod,) = team.live(target).pods()
    fill = ["exec", pod["metadata"]["name"], "--container=triton", "--"]
    team.kubectl.attempt([*fill, "dd", "if=/dev/zero", "of=/dev/shm/full", "bs=1M", "count=100"])
    wait_for(team, target, lambda pods: len(pods) == 2 and {pod["status"]["phase"] for pod in pods} >= {"Failed"})
    open_http = replace(target, http=True)
    assert deploy(team.project(), open_http, on_step=print).result == "deployed"
    assert deploy(team.project(), open_http, on_step=print).result == "no changes"


@pytest.mark.once
def test_a_failed_deploy_is_tried_again_at_once(team):
    """The cluster would try the pod again by itself, but each time later, up to five minutes."""

    def set_token(token):
        kubectl("-n", team.namespace, "delete", "secret", "late", "--ignore-not-found")
        kubectl("-n", team.namespace, "create", "secret", "generic", "late", f"--from-literal=HF_TOKEN={token}")

    tried, steps = team.target("fresh", secrets=Secrets(hf_token=Key("late", "HF_TOKEN"))), list[str]()
    set_token("mistyped")
    with pytest.raises(DeployError, match="HF_TOKEN is set, but it is not valid here"):
        deploy(team.project(), tried, on_step=print)
    set_token(GOOD_TOKEN)
    assert deploy(team.project(), tried, on_step=steps.append).result == "finished"
    assert any("replaced, to try again" in step for step in steps)


@pytest.mark.once
def test_a_target_that_is_scaled_beyond_a_quota_serves_with_the_replicas_of_before(team, target):
    kubectl("-n", team.namespace, "create", "quota", "full", "--hard=pods=1")
    try:
        with pytest.raises(RolledBackError, match="exceeded quota: full"):
            deploy(team.project(), replace(target, replicas=2), stall=5, on_step=print)
    finally:
        kubectl("-n", team.namespace, "delete", "quota", "full")
    live = team.live(target)
    assert (live.deployment["spec"]["replicas"], live.current.result) == (1, "served")
    assert deploy(team.project(), target, on_step=print).result == "no changes"


def test_a_smoke_test_that_cannot_be_read_is_named_before_anything_is_applied(team, target):
    path, before = team.folder / "triton-config/alpha/smoke.json", team.live(target).current.release
    team.write_catalog({"alpha": "third"})
    path.write_text('{"inputs": ')
    try:
        with pytest.raises(PartialFailureError, match="not valid JSON"):
            deploy(team.project(), target, on_step=print)
    finally:
        path.unlink()
        team.write_catalog({"alpha": "main"})
    assert team.live(target).current.release == before


@pytest.fixture
def stumbling(tmp_path, monkeypatch):
    """A kubectl before the real one, which fails as a cluster does while its API server is replaced."""
    program, mark = shutil.which("kubectl"), tmp_path / "mark"
    script = tmp_path / "kubectl"
    script.write_text(
        f'#!/bin/sh\ncase " $* " in *" get deployments.apps,replicasets.apps,pods "*)\n'
        f"if mkdir {mark} 2>/dev/null; then\n"
        f'echo "Error from server: etcdserver: leader changed" >&2; exit 1; fi;; esac\nexec {program} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_a_cluster_that_stumbles_during_a_rollout_is_asked_again(team, target, stumbling):
    steps = list[str]()
    opened = replace(target, http=not target.http)
    assert deploy(team.project(), opened, on_step=steps.append).result == "deployed"
    assert any(step.startswith("asking again: ") and "leader changed" in step for step in steps)


def test_a_failed_deploy_leaves_what_somebody_else_deployed_meanwhile(team, target):
    before = team.live(target)
    team.write_catalog({"alpha": "second"})
    try:
        deploy(team.project(), target, on_step=print)
        failed = "0123456789abcdef"
        reason = roll_back_failed(team.kubectl, before, before.current, failed=failed, token=None, on_step=print)
        assert reason == f"somebody deployed the release {team.live(target).current.release} meanwhile, and it stays"
        assert team.live(target).current.release != before.current.release
    finally:
        team.write_catalog({"alpha": "main"})


def test_of_two_deploys_at_once_the_later_one_changes_nothing(team, target, monkeypatch):
    kubectl("-n", team.namespace, "set", "env", f"deployment/{NAME}", "--containers=triton", "A=1")
    preview = make_preview(team.kubectl, team.project(), target, allow_downtime=False)
    deploy(team.project(), target, on_step=print)
    monkeypatch.setattr("tritonops.kubernetes.deploy.make_preview", lambda *args, **options: preview)
    steps = list[str]()
    with pytest.raises(KubectlError, match="the object has been modified"):
        deploy(team.project(), target, on_step=steps.append)
    assert not any("roll back" in step for step in steps)
    monkeypatch.undo()
    assert team.live(target).current.result == "served"
