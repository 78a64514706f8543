"""Wait until every pod of a release serves all of it, with the first reason why it never will."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tritonops.display_text import one_line
from tritonops.errors import (
    ClusterForbiddenError,
    ClusterUnreachableError,
    KubectlError,
    ResultUnknownError,
    RolloutError,
    SupersededError,
    TritonError,
)
from tritonops.kubernetes.cluster.changes import delete
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import LiveTarget, read_rollout
from tritonops.kubernetes.cluster.pod_state import PodState, pod_state
from tritonops.kubernetes.cluster.pod_triton import (
    describe_unready,
    load_failures,
    pod_client,
    smoke_failures,
    unready_versions,
)
from tritonops.kubernetes.cluster.revision import Revision
from tritonops.kubernetes.manifests.names import main_name
from tritonops.kubernetes.targets.target import Target

OnStep = Callable[[str], None]
_POLL, _PROBE = 1.0, 3.0
_UNANSWERED = 60.0
"""Seconds in which a cluster may not answer, such as while its API server is updated."""
_STUCK = 20.0
"""Seconds after which an image that is not pulled, or a Secret that is not there, fails a rollout."""


@dataclass
class _SeenPod:
    """What is known of a pod."""

    not_stuck: float
    """When it was last seen not to be stuck, or first seen at all."""
    text: str = ""
    stuck: list[str] = field(default_factory=list)
    """The messages of the cluster since then: why an image cannot be pulled, and in turn only that it waits."""
    probed: float = 0.0
    unready_before: bool = False
    failed_before: bool = False
    is_proved: bool = False
    ended_before: int = 0
    """How many of its processes had ended when the wait began."""


@dataclass
class Rollout:
    """Waits for one release of a target.

    A pod is proved when each expected version answers that it is ready, and the smoke tests pass: while the pods
    before it still serve.
    """

    kubectl: Kubectl
    target: Target
    release: str
    expected: Sequence[tuple[str, int]]
    stall: float
    """Seconds without a change after which the rollout has failed."""
    token: str | None
    config_dir: Path | None
    """Has the smoke tests; None runs none."""
    on_step: OnStep
    _pods: dict[str, _SeenPod] = field(default_factory=dict)
    _earlier: frozenset[str] | None = None
    """The pods that there were when the wait began: what happened to them before is no result of this rollout."""
    _replaced: set[str] = field(default_factory=set)
    """The pods that were deleted, each once: one that is there all the same is looked at like any other."""
    _changed: float = field(default_factory=time.monotonic)
    _progress: object = None

    def wait(self) -> LiveTarget:
        """Wait for the end of the rollout. Raises RolloutError, SupersededError and ResultUnknownError."""
        self._changed = time.monotonic()
        while True:
            live = self._read()
            revision = self._own_revision(live)
            if revision and self._is_done(live, revision):
                return live
            time.sleep(_POLL)

    def _read(self) -> LiveTarget:
        """Read the rollout. A cluster that does not answer, or not well, is asked again for a minute."""
        answered = time.monotonic()
        while True:
            try:
                live = read_rollout(self.kubectl, self.target)
            except (KubectlError, ClusterUnreachableError) as exc:
                if time.monotonic() - answered > _UNANSWERED:
                    raise ResultUnknownError(
                        f"{exc}\nThe cluster goes on with the rollout of {self.release}.",
                        hint=f"inv kubernetes.status --target {self.target.name}; a deploy finishes it.",
                    ) from exc
                self.on_step(f"asking again: {exc}")
                time.sleep(_PROBE)
                continue
            if self._earlier is None:
                self._earlier = frozenset(pod["metadata"]["name"] for pod in live.pods())
            return live

    def _own_revision(self, live: LiveTarget) -> Revision | None:
        """Give the revision of the release once the cluster has made it."""
        if live.deployment is None:
            raise SupersededError(f"{self.target.name}: somebody deleted the Deployment meanwhile")
        revision = live.current
        template = live.deployment["spec"]["template"]["metadata"].get("annotations", {})
        if (found := template.get("tritonops/release")) != self.release:
            raise SupersededError(
                f"{self.target.name}: somebody deployed the release {found} meanwhile, in place of {self.release}",
                hint="inv kubernetes.releases shows who. It was left alone.",
            )
        if revision is None or revision.release != self.release:
            self._require_progress(live, [])
            return None
        return revision

    def _is_done(self, live: LiveTarget, revision: Revision) -> bool:
        assert live.deployment
        if not live.deployment["spec"]["replicas"]:
            raise self._error({main_name(self.target): "the Deployment has 0 replicas: no pod shows what it serves"})
        states = [state for state in map(pod_state, live.pods(revision)) if not self._is_left_over(state)]
        for state in states:
            self._look(state)
        proved = [self._pods[state.name].is_proved for state in states]
        if live.is_complete and proved and all(proved):
            return True
        self._require_progress(live, states)
        return False

    def _is_left_over(self, state: PodState) -> bool:
        """Whether a pod is over, so that the cluster makes another one, or failed since before this rollout.

        The cluster tries a failed one again, but only after up to five minutes: so it is deleted, and another one made.
        """
        if state.is_over or state.name not in (self._earlier or ()) or state.name in {*self._pods, *self._replaced}:
            return state.is_over
        if state.is_stuck or (state.failure and not state.runs_triton):
            self._replaced.add(state.name)
            self.on_step(f"{state.name}: {state.text.splitlines()[0]}: replaced, to try again")
            with suppress(ClusterForbiddenError):
                delete(self.kubectl, [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": state.name}}])
                return True
        return False

    def _look(self, state: PodState) -> None:
        """Tell what changed, raise what ends the rollout, and prove a pod that runs."""
        now = time.monotonic()
        before = state.ends if state.name in (self._earlier or ()) else 0
        seen = self._pods.setdefault(state.name, _SeenPod(now, ended_before=before))
        if not state.is_stuck:
            seen.not_stuck, seen.stuck = now, []
        if state.text != seen.text and state.text not in seen.stuck:
            self.on_step(f"{state.name}: {state.text}")
            seen.stuck += [state.text] if state.is_stuck else []
        seen.text = state.text
        if state.failure and (not state.ends or state.ends > seen.ended_before):
            raise self._error({state.name: self._with_log(state)})
        if now - seen.not_stuck > _STUCK:
            raise self._error({state.name: "; ".join(seen.stuck)})
        if state.runs_triton and not seen.is_proved and now - seen.probed > _PROBE:
            self._prove(state, seen)
            seen.probed = time.monotonic()

    def _prove(self, state: PodState, seen: _SeenPod) -> None:
        """Ask a pod's Triton itself. What it does not serve when it answers twice, it never will."""
        try:
            with pod_client(self.kubectl, state.name, self.token) as client:
                unready = unready_versions(client, self.expected)
                if unready is None:
                    return
                if unready:
                    if seen.unready_before:
                        reasons = load_failures(self.kubectl, state.name)
                        raise self._error({state.name: describe_unready(unready, reasons)})
                    seen.unready_before = True
                    return
                failures = smoke_failures(client, self.config_dir, self.expected) if self.config_dir else {}
        except (KubectlError, ClusterUnreachableError, TritonError) as exc:
            if state.is_ready:
                self.on_step(f"{state.name}: {exc}")
            return
        if failures and not seen.failed_before:
            seen.failed_before = True  # it may be the connection, and not the model
            return
        if failures:
            lines = "\n".join(f"the smoke test of {name}: {problem}" for name, problem in failures.items())
            raise self._error({state.name: lines})
        if state.is_ready:
            seen.is_proved = True
            self.on_step(f"{state.name}: serves {len(self.expected)} versions")

    def _require_progress(self, live: LiveTarget, states: Sequence[PodState]) -> None:
        """Raise RolloutError where nothing has changed for too long, or the cluster says so."""
        assert live.deployment
        counts = {name: value for name, value in live.deployment["status"].items() if isinstance(value, int)}
        progress = (counts, [(state.name, state.text) for state in states])
        now = time.monotonic()
        if progress != self._progress:
            self._progress, self._changed = progress, now
        conditions = {each["type"]: each for each in live.deployment["status"].get("conditions", [])}
        refused = conditions.get("ReplicaFailure", {})
        has_refusal = refused.get("status") == "True"
        is_late = now - self._changed > self.stall
        if not is_late and not (has_refusal and not states and now - self._changed > _STUCK / 2):
            return
        found = [pod_state(each) for each in live.pods(live.current)] if live.current else states
        reasons = {state.name: state.text for state in found if not state.is_ready}
        if has_refusal:
            reasons = {"no pod": str(refused.get("message")), **reasons}
        waited = f"nothing changed for {self.stall:g} s"
        raise self._error(reasons or {self.target.name: f"{waited}: {_counts(live)}"}, waited if is_late else None)

    def _with_log(self, state: PodState) -> str:
        """Add Triton's own words about each model to the end of its process."""
        if not state.ended:
            return state.failure or state.text
        reasons = load_failures(self.kubectl, state.name, previous=True)
        return "\n".join([state.failure or state.text, *(f"{name}: {reason}" for name, reason in reasons.items())])

    def _error(self, reasons: dict[str, str], waited: str | None = None) -> RolloutError:
        what = f"{self.target.name}: the release {self.release} does not serve"
        return RolloutError(f"{what}; {waited}" if waited else what, {**reasons, **self._warnings(reasons)})

    def _warnings(self, reasons: dict[str, str]) -> dict[str, str]:
        """Add the cluster's last warnings about the pods."""
        found = dict[str, str]()
        for pod in reasons.keys() & self._pods.keys():
            words = ["events", "--field-selector", f"involvedObject.name={pod},type=Warning"]
            try:
                events = self.kubectl.objects(words)
            except (KubectlError, ClusterUnreachableError):
                continue  # not everybody may read events
            last = {event["reason"]: one_line(event.get("message", "")) for event in events}
            text = "; ".join(f"{reason}: {message}" for reason, message in last.items())
            if text:
                found[f"events of {pod}"] = text
        return found


def _counts(live: LiveTarget) -> str:
    assert live.deployment
    status = live.deployment["status"]
    return f"{status.get('availableReplicas', 0)} of {live.deployment['spec']['replicas']} pods are available"
