"""What a deploy would do: the rendered release, what is live, and how they differ."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tritonops.kubernetes.cluster.comparison import Comparison, compare, require_own, without_deleted
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import LiveTarget, custom_kinds, read_live
from tritonops.kubernetes.cluster.managed_fields import sets_replicas
from tritonops.kubernetes.cluster.revision import RECORD
from tritonops.kubernetes.cluster.version import cluster_version
from tritonops.kubernetes.manifests.availability import is_scaler
from tritonops.kubernetes.manifests.folder import folder_files
from tritonops.kubernetes.manifests.names import CUSTOM_KINDS, Manifest
from tritonops.kubernetes.render import RenderedTarget, render
from tritonops.kubernetes.targets.target import Target
from tritonops.project import Project


@dataclass(frozen=True)
class Preview:
    """A deploy before it begins."""

    rendered: RenderedTarget
    is_scaled: bool
    """Whether an autoscaler sets the replicas, and no patch deletes it."""
    live: LiveTarget
    comparison: Comparison

    @property
    def target(self) -> Target:
        """The target that it is for."""
        return self.rendered.target

    @property
    def is_served(self) -> bool:
        """Whether the cluster serves this very release, and a deploy saw it serve."""
        current = self.live.current
        return self.comparison.is_empty and current is not None and current.served and self.live.is_complete


def make_preview(kubectl: Kubectl, project: Project, target: Target, *, allow_downtime: bool) -> Preview:
    """Render a target for its cluster, and compare: three kubectl commands where nothing is to be added.

    Raises what `render` and kubectl raise, and ForeignObjectError.
    """
    rendered = render(project, target, cluster_version(kubectl, target), allow_downtime=allow_downtime)
    live = read_live(kubectl, target, custom_kinds=custom_kinds(rendered.objects))
    objects = _as_live(rendered.objects, live)
    with manifests_folder(objects, target.patch) as folder:
        if target.patch:
            objects = without_deleted(kubectl, folder, objects, target.patch)
        is_scaled = _has_scaler(objects)
        comparison = compare(kubectl, folder, objects, live, is_scaled=is_scaled)
        require_own(kubectl, folder, comparison.diffs.keys() - live.by_name.keys())
    return Preview(rendered, is_scaled, live, comparison)


def objects_to_apply(preview: Preview, record: Mapping[str, str]) -> list[Manifest]:
    """Give the objects of a deploy, whose Deployment has its record."""
    return _with_annotations(preview.rendered.objects, preview.live, record)


@contextmanager
def manifests_folder(objects: Sequence[Manifest], patch: Path | None) -> Iterator[Path]:
    """Write a kustomization for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="tritonops-") as name:
        folder = Path(name)
        for file, text in folder_files(objects, patch).items():
            (folder / file).write_bytes(text.encode())
        yield folder


def _has_scaler(objects: Sequence[Manifest]) -> bool:
    return any(is_scaler(each["kind"]) for each in objects)


def _as_live(objects: Sequence[Manifest], live: LiveTarget) -> list[Manifest]:
    """Give the objects with what a deploy leaves as it is: the record, and an autoscaler's replicas."""
    if live.deployment is None:
        return _with_annotations(objects, live, {})
    annotations = live.deployment["metadata"].get("annotations", {})
    found = _with_annotations(objects, live, {name: annotations[name] for name in RECORD if name in annotations})
    if _has_scaler(objects) and sets_replicas(live.deployment):
        replicas = {"replicas": live.deployment["spec"]["replicas"]}
        found = [
            {**each, "spec": {**replicas, **each["spec"]}} if each["kind"] == "Deployment" else each for each in found
        ]
    return found


def _with_annotations(objects: Sequence[Manifest], live: LiveTarget, record: Mapping[str, str]) -> list[Manifest]:
    """Give the Deployment a record, and the kinds of custom resources that it has or had."""
    before = live.deployment["metadata"].get("annotations", {}).get(CUSTOM_KINDS, "") if live.deployment else ""
    kinds = sorted({*custom_kinds(objects), *(kind for kind in before.split(",") if kind)})
    added = {**record, **({CUSTOM_KINDS: ",".join(kinds)} if kinds else {})}
    return [_annotated(each, added) if each["kind"] == "Deployment" else each for each in objects]


def _annotated(found: Manifest, added: Mapping[str, str]) -> Manifest:
    annotations = {**found["metadata"].get("annotations", {}), **added}
    return {**found, "metadata": {**found["metadata"], "annotations": annotations}}
