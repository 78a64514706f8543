"""Deploy this checkout to a cluster.

preview   render for the cluster, and compare: a target that serves this very release is left alone
apply     server-side, as one field manager: what others changed is put right
wait      until every new pod serves every version; the first reason why one never will ends it
note      at the revision that it served, or why not; then what the release no longer has is deleted

A deploy that fails rolls back to the last revision that served. One that is killed leaves the rollout to the cluster;
the next one finishes it.
"""

from __future__ import annotations

import time

from tritonops.errors import (
    ClusterUnreachableError,
    DeployError,
    InputError,
    KubectlError,
    NotRolledBackError,
    ResultUnknownError,
    RolledBackError,
    RolloutError,
    TritonOpsError,
)
from tritonops.git import read_head
from tritonops.kubernetes.cluster.changes import apply_folder, delete, note_result, take_over
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import LiveTarget, read_rollout
from tritonops.kubernetes.cluster.pod_triton import require_port_forward
from tritonops.kubernetes.cluster.revision import AT, BY, COMMIT, SERVED, Revision
from tritonops.kubernetes.manifests.availability import is_scaler
from tritonops.kubernetes.manifests.names import Manifest, main_name
from tritonops.kubernetes.manifests.timing import Timing
from tritonops.kubernetes.rollout.preview import Preview, make_preview, manifests_folder, objects_to_apply
from tritonops.kubernetes.rollout.restore import last_served, now, roll_back_failed
from tritonops.kubernetes.rollout.result import TargetResult
from tritonops.kubernetes.rollout.waiting import OnStep, Rollout
from tritonops.kubernetes.targets.target import Target
from tritonops.process_environment import who
from tritonops.project import Project
from tritonops.triton.smoke import check_smoke_tests, find_smoke_tests


def deploy(
    project: Project,
    target: Target,
    *,
    allow_downtime: bool = False,
    stall: float | None = None,
    on_step: OnStep,
) -> TargetResult:
    """Deploy the checkout to a target; `stall` is the time without progress after which it has failed, in seconds.

    Raises RolledBackError and NotRolledBackError after it applied something, DeployError where nothing served before,
    SupersededError, and before that what `make_preview` raises.
    """
    started, kubectl = time.monotonic(), Kubectl.of(target)
    preview = make_preview(kubectl, project, target, allow_downtime=allow_downtime)
    current = preview.live.current
    if preview.is_served:
        assert current
        return _result(preview, preview.live, "no changes", started)
    for each in preview.rendered.left_out:
        on_step(f"left out: {each}")
    result = "deployed"
    if not preview.comparison.is_empty:
        _tell_before(preview, on_step)
    else:
        result = _tell_unfinished(current, on_step)
    require_port_forward(kubectl)
    _check_smoke_tests(project, preview)
    _take_over(kubectl, preview)
    try:
        if not preview.comparison.is_empty:
            _apply(kubectl, project, preview, on_step)
        live = _rollout(kubectl, project, preview, stall, on_step).wait()
    except (RolloutError, KubectlError) as exc:
        raise _failed(kubectl, project, preview, exc, on_step) from exc
    except ClusterUnreachableError as exc:
        raise ResultUnknownError(
            f"{target.name}: part of the release may be applied: {exc}",
            hint=f"inv kubernetes.status --target {target.name}; a deploy finishes it.",
        ) from exc
    except KeyboardInterrupt:
        on_step("interrupted: the cluster goes on with the rollout; deploy again to finish it")
        raise
    note_result(kubectl, live, SERVED)
    delete(kubectl, [*preview.comparison.removed, *preview.comparison.unused])
    return _result(preview, live, result, started)


def _tell_before(preview: Preview, on_step: OnStep) -> None:
    """Name the release that serves, and one whose deploy was interrupted."""
    current = preview.live.current
    if current is None:
        return
    how = current.result or "not seen to serve: its deploy was interrupted, or somebody changed the Deployment since"
    by = f" (deployed by {current.by} at {current.at})" if current.by else ""
    on_step(f"current release: {current.release}{by}, {how}")


def _tell_unfinished(current: Revision | None, on_step: OnStep) -> str:
    """Say what became of an earlier deploy of this release; give the word for its result."""
    if current is None or current.served:
        on_step("the release is applied, and not all of its pods serve: waiting for them")
        return "deployed"
    by = f" by {current.by} at {current.at}" if current.by else ""
    how = "was interrupted" if current.result is None else f"ended with: {current.result}"
    on_step(f"the deploy of {current.release}{by} {how}: finishing it")
    return "finished"


def _check_smoke_tests(project: Project, preview: Preview) -> None:
    """Raise PartialFailureError for smoke tests that cannot be read, before anything is applied."""
    names = {name for name, _ in preview.rendered.release.expected}
    tests = find_smoke_tests(project.settings.config_dir)
    check_smoke_tests({name: path for name, path in tests.items() if name in names})


def _take_over(kubectl: Kubectl, preview: Preview) -> None:
    """Become the manager of what others set. Raises KubectlError where somebody deploys at the same time."""
    comparison, live = preview.comparison, preview.live
    if comparison.is_empty:
        return
    for name in {*comparison.foreign, *comparison.by_kubectl, ("Deployment", main_name(preview.target))}:
        if found := live.by_name.get(name):
            take_over(kubectl, found, is_scaled=preview.is_scaled)


def _apply(kubectl: Kubectl, project: Project, preview: Preview, on_step: OnStep) -> None:
    comparison = preview.comparison
    # An autoscaler would move the replicas that are applied next.
    delete(kubectl, [each for each in comparison.removed if is_scaler(each["kind"])])
    on_step(f"apply {preview.rendered.release.digest}")
    with manifests_folder(objects_to_apply(preview, _record(project)), preview.target.patch) as folder:
        apply_folder(kubectl, folder)


def _record(project: Project) -> dict[str, str]:
    """Say who deploys what and when; the commit of a checkout that git knows."""
    record = {BY: who(), AT: now()}
    try:
        head = read_head(project.settings.project)
    except InputError:
        return record
    return {**record, COMMIT: f"{head.commit}{' with changes' if head.is_changed else ''}"}


def _rollout(kubectl: Kubectl, project: Project, preview: Preview, stall: float | None, on_step: OnStep) -> Rollout:
    release, target = preview.rendered.release, preview.target
    timing = Timing.of(release.size, start=target.start_seconds, longest_request=target.longest_request)
    return Rollout(
        kubectl,
        target,
        release=release.digest,
        expected=release.expected,
        stall=float(timing.progress_deadline) if stall is None else stall,
        token=project.settings.triton_token,
        config_dir=project.settings.config_dir,
        on_step=on_step,
    )


def _failed(
    kubectl: Kubectl,
    project: Project,
    preview: Preview,
    error: TritonOpsError,
    on_step: OnStep,
) -> DeployError:
    """Note why a deploy failed, roll back, and give the error to raise."""
    name = preview.target.name
    on_step(f"failed: {error}")
    _note_failure(kubectl, preview, error)
    hint = f"inv kubernetes.logs --target {name}, inv kubernetes.status --target {name}"
    current = preview.live.current
    if preview.comparison.is_empty and current and current.served:
        return DeployError(f"{error}\nThis deploy changed nothing, so nothing is rolled back.", hint=hint)
    fallback = last_served(preview.live, before_current=preview.comparison.is_empty)
    if fallback is None:
        return DeployError(f"{error}\nNothing served before: the pods are left as they are.", hint=hint)
    token = project.settings.triton_token
    failed = preview.rendered.release.digest
    if reason := roll_back_failed(kubectl, preview.live, fallback, failed=failed, token=token, on_step=on_step):
        return NotRolledBackError(
            f"{error}\nThe release before, {fallback.release}, is not served again: {reason}", hint=hint
        )
    return RolledBackError(
        f"{error}\nThe release before, {fallback.release}, serves again.",
        hint=f"inv kubernetes.releases --target {name} --json keeps this reason; the new pods and their logs are gone.",
    )


def _note_failure(kubectl: Kubectl, preview: Preview, error: TritonOpsError) -> None:
    """Note the reason at the revision of the release, if the cluster made one."""
    try:
        live = read_rollout(kubectl, preview.target)
        if live.current and live.current.release == preview.rendered.release.digest:
            note_result(kubectl, live, f"failed: {error}")
    except TritonOpsError:
        return  # the failure itself is what has to be told


def _result(preview: Preview, live: LiveTarget, result: str, started: float) -> TargetResult:
    current, before = live.current, preview.live.current
    comparison = preview.comparison
    return TargetResult(
        target=preview.target.name,
        result=result,
        release=preview.rendered.release.digest,
        revision=current.number if current else 0,
        before=before.release if before and before.served else None,
        pods=tuple(sorted(pod["metadata"]["name"] for pod in live.pods(current))) if current else (),
        removed=tuple(_label(each) for each in (*comparison.removed, *comparison.unused)),
        seconds=round(time.monotonic() - started, 1),
    )


def _label(found: Manifest) -> str:
    return f"{found['kind']}/{found['metadata']['name']}"
