"""Preview a deploy to a cluster: which models, configs and objects it would add, change and remove."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import TritonOpsError
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import LiveTarget, name_of
from tritonops.kubernetes.release.release import CONFIGS
from tritonops.kubernetes.rollout.preview import Preview, make_preview
from tritonops.kubernetes.targets.target import Target
from tritonops.models.catalog.lockfile import parse_lock
from tritonops.project import Project
from tritonops.redaction import redact


@dataclass(frozen=True)
class TargetChange:
    """One thing that a deploy would change."""

    what: str
    """ "model", "config", or the kind of an object."""
    name: str
    change: str
    """ "add", "change", "remove"; "unused" for a ConfigMap of an earlier release, which goes with the next change."""
    diff: str | None = None
    """Of an object that would change: a unified diff."""

    @property
    def is_difference(self) -> bool:
        """Whether a deploy is called for."""
        return self.change != "unused"


@dataclass(frozen=True)
class TargetPlan:
    """What a deploy would change of one target."""

    target: str
    context: str
    namespace: str
    release: str
    current: str | None
    """The release that the cluster has now."""
    is_served: bool
    """Whether all of its pods serve it, and a deploy saw that."""
    changes: tuple[TargetChange, ...]

    @property
    def is_different(self) -> bool:
        """Whether a deploy would do anything, be it to finish an earlier one."""
        return not self.is_served or any(each.is_difference for each in self.changes)


def plan(project: Project, target: Target) -> TargetPlan:
    """Compare a target with this checkout, by the API server's own dry run. Raises what `make_preview` raises."""
    preview = make_preview(Kubectl.of(target), project, target, allow_downtime=True)
    live = preview.live
    return TargetPlan(
        target=target.name,
        context=target.context,
        namespace=target.namespace,
        release=preview.rendered.release.digest,
        current=live.revisions[-1].release if live.revisions else None,
        is_served=preview.is_served,
        changes=(*_release_changes(preview), *_object_changes(preview)),
    )


def _release_changes(preview: Preview) -> Iterator[TargetChange]:
    """Compare models and configs with those of the current release, which are in its ConfigMaps."""
    before, after = _current_files(preview.live), preview.rendered.release.files
    for what, names in (("model", _models), ("config", _configs)):
        old, new = names(before), names(after)
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                change = "add" if name not in old else "remove" if name not in new else "change"
                yield TargetChange(what, name, change)


def _current_files(live: LiveTarget) -> Mapping[str, bytes]:
    return (live.files(live.revisions[-1]) if live.revisions else None) or {}


def _models(files: Mapping[str, bytes]) -> dict[str, object]:
    try:
        pins = parse_lock(Path("models.lock"), files.get("models.lock", b"").decode())
    except (TritonOpsError, UnicodeDecodeError):
        return {}  # of another version of tritonops
    return {label: [(file.path, file.sha256) for file in pin.files] for label, pin in pins.items()}


def _configs(files: Mapping[str, bytes]) -> dict[str, object]:
    return {path.removeprefix(f"{CONFIGS}/"): data for path, data in files.items() if path.startswith(f"{CONFIGS}/")}


def _object_changes(preview: Preview) -> Iterator[TargetChange]:
    comparison, live = preview.comparison, preview.live
    changed = {*comparison.diffs, *comparison.foreign, *comparison.by_kubectl}
    for each in preview.rendered.objects:
        name = name_of(each)
        if name in changed:
            is_new = name not in live.by_name
            yield TargetChange(*name, "add" if is_new else "change", None if is_new else _diff(preview, name))
    for change, objects in (("remove", comparison.removed), ("unused", comparison.unused)):
        for each in objects:
            yield TargetChange(*name_of(each), change)


def _diff(preview: Preview, name: tuple[str, str]) -> str:
    """Write what changes; what somebody else added is no part of a server-side diff."""
    comparison = preview.comparison
    lines = [f"-{path}  (set by somebody else)\n" for path in comparison.foreign.get(name, ())]
    if name in comparison.by_kubectl:
        lines.append("-applied with kubectl: fields that are not rendered would be removed\n")
    return redact(comparison.diffs.get(name, "") + "".join(lines))
