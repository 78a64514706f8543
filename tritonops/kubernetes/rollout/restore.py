"""Serve an earlier revision again: its pods' template, in the Deployment as it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tritonops.errors import NotRolledBackError, TritonOpsError
from tritonops.kubernetes.cluster.changes import apply_object, note_result, take_over
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import LiveTarget, read_live, read_rollout
from tritonops.kubernetes.cluster.revision import RESTORED, SERVED, Revision
from tritonops.kubernetes.manifests.availability import is_scaler
from tritonops.kubernetes.manifests.names import CUSTOM_KINDS, RELEASE, Manifest, main_name, manifest, metadata
from tritonops.kubernetes.rollout.waiting import OnStep, Rollout
from tritonops.kubernetes.targets.target import Target
from tritonops.process_environment import who

_KEPT = ("revisionHistoryLimit", "minReadySeconds", "progressDeadlineSeconds", "strategy", "selector")


def restore(
    kubectl: Kubectl,
    target: Target,
    revision: Revision,
    *,
    replicas: int | None = None,
    token: str | None,
    on_step: OnStep,
) -> LiveTarget:
    """Roll back to a revision, and wait until all of its pods serve; `replicas`, where they are others than now.

    Raises NotRolledBackError where its files are gone, or no pod is asked for, RolloutError, SupersededError,
    ResultUnknownError and KubectlError.
    """
    live = read_live(kubectl, target)
    if live.deployment is None:
        raise NotRolledBackError(f"{target.name}: the Deployment is gone", hint=_hint(target))
    expected = live.expected(revision)
    if expected is None or live.files(revision) is None:
        raise NotRolledBackError(f"{target.name}: the ConfigMaps of the release {revision.release} are gone")
    count = replicas or live.deployment["spec"]["replicas"]
    if not count:
        raise NotRolledBackError(
            f"{target.name}: the Deployment has 0 replicas, and no pod would show what it serves", hint=_hint(target)
        )
    is_scaled = any(is_scaler(kind) for kind, _ in live.by_name)
    take_over(kubectl, live.deployment, is_scaled=is_scaled)
    apply_object(kubectl, restored_deployment(live, revision, replicas=None if is_scaled else count))
    done = Rollout(
        kubectl,
        target,
        release=str(revision.release),
        expected=expected,
        stall=float(live.deployment["spec"]["progressDeadlineSeconds"]),
        token=token,
        config_dir=None,
        on_step=on_step,
    ).wait()
    note_result(kubectl, done, SERVED)
    return done


def restored_deployment(live: LiveTarget, revision: Revision, *, replicas: int | None) -> Manifest:
    """Write the live Deployment with the template of a revision, and its record; an autoscaler's has no replicas."""
    assert live.deployment
    spec = live.deployment["spec"]
    annotations = live.deployment["metadata"].get("annotations", {})
    record: Mapping[str, Any] = {
        RELEASE: revision.release,
        **revision.record,
        RESTORED: f"{now()} by {who()}",
        **({CUSTOM_KINDS: annotations[CUSTOM_KINDS]} if CUSTOM_KINDS in annotations else {}),
    }
    found = {**metadata(live.target, main_name(live.target), record), "labels": live.deployment["metadata"]["labels"]}
    count = {} if replicas is None else {"replicas": replicas}
    kept = {name: spec[name] for name in _KEPT if name in spec}
    return manifest("apps/v1", "Deployment", found, spec={**count, **kept, "template": revision.template})


def last_served(live: LiveTarget, *, but: str | None = None, before_current: bool = False) -> Revision | None:
    """Find the newest revision that a deploy saw serve, of another release than `but`, and whose files are there."""
    revisions = live.revisions[:-1] if before_current else live.revisions
    served = [each for each in revisions if each.served and each.release not in (None, but)]
    return next((each for each in reversed(served) if live.files(each) and live.expected(each)), None)


def roll_back_failed(
    kubectl: Kubectl,
    before: LiveTarget,
    fallback: Revision,
    *,
    failed: str,
    token: str | None,
    on_step: OnStep,
) -> str | None:
    """Roll back the failed deploy of a release, with the replicas from before; give the reason why that failed, too.

    A release that somebody else deployed meanwhile is left alone.
    """
    target = before.target
    replicas = before.deployment["spec"]["replicas"] if before.deployment else None
    try:
        live = read_rollout(kubectl, target)
        if (found := _release(live)) not in (failed, _release(before), None):
            return f"somebody deployed the release {found} meanwhile, and it stays"
        on_step(f"roll back to the release {fallback.release}")
        restore(kubectl, target, fallback, replicas=replicas, token=token, on_step=on_step)
    except TritonOpsError as exc:
        return str(exc)
    return None


def _release(live: LiveTarget) -> str | None:
    """Give the release that the Deployment asks for."""
    template = live.deployment["spec"]["template"]["metadata"] if live.deployment else {}
    release: str | None = template.get("annotations", {}).get(RELEASE)
    return release


def _hint(target: Target) -> str:
    return f"inv kubernetes.deploy --target {target.name}"


def now() -> str:
    """Write the time: ISO 8601, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
