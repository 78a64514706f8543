"""Serve an earlier release of a target again."""

from __future__ import annotations

import time

from tritonops.errors import InputError, NotRolledBackError, RolledBackError, RolloutError, UnknownReleaseError
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import LiveTarget, read_live, require_namespace
from tritonops.kubernetes.cluster.revision import Revision
from tritonops.kubernetes.manifests.deployment import ends_only_pod
from tritonops.kubernetes.rollout.restore import last_served, restore, roll_back_failed
from tritonops.kubernetes.rollout.result import TargetResult
from tritonops.kubernetes.rollout.waiting import OnStep
from tritonops.kubernetes.targets.target import Target
from tritonops.project import Project


def roll_back(project: Project, target: Target, *, to: str | None, on_step: OnStep) -> TargetResult:
    """Roll back to a release that served: its digest or the number of its revision (default: the one before).

    Raises UnknownReleaseError, and InputError where none served before. One that fails returns to the release that
    served until then, and raises RolledBackError or NotRolledBackError.
    """
    started, kubectl, token = time.monotonic(), Kubectl.of(target), project.settings.triton_token
    live = read_live(kubectl, target)
    require_namespace(kubectl, live)
    current, revision = live.revisions[-1] if live.revisions else None, _chosen(live, to)
    if current and current.number == revision.number and live.is_complete:
        return _result(target, "no changes", current, current, started)
    on_step(f"roll back to the release {revision.release}, revision {revision.number}")
    if ends_only_pod(target):
        on_step("its only pod ends first: no answers until the next one serves")
    try:
        done = restore(kubectl, target, revision, token=token, on_step=on_step)
    except RolloutError as exc:
        fallback = current if current and current.served else None
        if fallback is None:
            raise NotRolledBackError(f"{exc}\nNothing else served before.") from exc
        failed = str(revision.release)
        if reason := roll_back_failed(kubectl, live, fallback, failed=failed, token=token, on_step=on_step):
            raise NotRolledBackError(f"{exc}\nThe release {fallback.release} is not served again: {reason}") from exc
        raise RolledBackError(f"{exc}\nThe release {fallback.release} serves, as before.") from exc
    return _result(target, "rolled back", done.current or revision, current, started)


def _chosen(live: LiveTarget, to: str | None) -> Revision:
    served = [each for each in live.revisions if each.served and each.release]
    if to is None:
        current = live.revisions[-1] if live.revisions else None
        if found := last_served(live, but=current.release if current else None):
            return found
        raise InputError(
            f"{live.target.name} has no release before the current one that served",
            hint=f"inv kubernetes.releases --target {live.target.name} lists what the cluster keeps.",
        )
    for revision in reversed(served):
        if to in (revision.release, str(revision.number)):
            return revision
    names = dict.fromkeys(str(revision.release) for revision in served)
    raise UnknownReleaseError(to, names, where=live.target.name, deploy="kubernetes")


def _result(target: Target, result: str, revision: Revision, before: Revision | None, started: float) -> TargetResult:
    return TargetResult(
        target=target.name,
        result=result,
        release=str(revision.release),
        revision=revision.number,
        before=before.release if before else None,
        seconds=round(time.monotonic() - started, 1),
    )
