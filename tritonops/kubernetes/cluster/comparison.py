"""How a cluster differs from what a deploy would apply, as the API server itself sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import ForeignObjectError, KubectlError
from tritonops.files import read_text
from tritonops.kubernetes.cluster.changes import reference
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import LiveTarget, Name, name_of
from tritonops.kubernetes.cluster.managed_fields import MANAGER, field_paths, foreign_fields, is_applied
from tritonops.kubernetes.manifests.folder import MAX_PATCH
from tritonops.kubernetes.manifests.names import Manifest

# diff quotes the path of a temporary folder that has a space in it.
_HEADER = re.compile(r"""^diff -u -N .*/([^/\s"']+)["']? .*/\1["']?$""", re.MULTILINE)
_FILE_LINE = re.compile(r"^(?:---|\+\+\+) .*/(?:LIVE|MERGED)-\d+/[^/\t\n]+\t.*\n", re.MULTILINE)
_GENERATION = re.compile(r"^[-+]  generation: \d+\n", re.MULTILINE)
_COMPARING = 120.0


@dataclass(frozen=True)
class Comparison:
    """What a deploy would change."""

    diffs: Mapping[Name, str]
    """A unified diff of each object that it would add or change."""
    foreign: Mapping[Name, list[str]]
    """Fields that it would remove, since others set them."""
    by_kubectl: tuple[Name, ...]
    """Objects that were applied with kubectl, and not by a deploy: it would take over their fields."""
    removed: tuple[Manifest, ...]
    """Objects that it would remove."""
    unused: tuple[Manifest, ...]
    """ConfigMaps that no kept revision refers to: they go with the next change."""

    @property
    def is_empty(self) -> bool:
        """Whether a deploy would change nothing."""
        return not (self.diffs or self.foreign or self.by_kubectl or self.removed)


def compare(
    kubectl: Kubectl, folder: Path, objects: Sequence[Manifest], live: LiveTarget, *, is_scaled: bool
) -> Comparison:
    """Compare a kustomization with what is live, by a server-side dry run of its apply.

    Raises KubectlError, also where the API server refuses an object; nothing is applied.
    """
    names = {name_of(each) for each in objects}
    kept = live.referenced_maps()
    surplus = [found for name, found in live.by_name.items() if name not in names]
    live_objects = [(name, found) for name, found in live.by_name.items() if name in names]
    foreign = {
        name: paths
        for name, found in live_objects
        if is_applied(found) and (paths := field_paths(foreign_fields(found, is_scaled=is_scaled)))
    }
    return Comparison(
        diffs=_diffs(kubectl, folder, names),
        foreign=foreign,
        by_kubectl=tuple(name for name, found in live_objects if not is_applied(found)),
        removed=tuple(found for found in surplus if found["kind"] != "ConfigMap"),
        unused=tuple(
            found for found in surplus if found["kind"] == "ConfigMap" and found["metadata"]["name"] not in kept
        ),
    )


def require_own(kubectl: Kubectl, folder: Path, added: Collection[Name]) -> None:
    """Raise ForeignObjectError where an object that a deploy would add is there, and belongs to somebody else.

    `added` names the objects that are not among the live ones, which are found by their labels. One that a deploy
    applied, and whose labels somebody changed, is ours.
    """
    if not added:
        return
    words = ["get", f"--kustomize={folder}", "--ignore-not-found", "--show-managed-fields", "--output=json"]
    found = json.loads(kubectl.output(words) or "{}")
    objects = found.get("items", [found] if found else [])
    foreign = sorted({name_of(each) for each in objects if not is_applied(each)} & {*added})
    if foreign:
        raise ForeignObjectError(["/".join(name) for name in foreign], kubectl.namespace)


def without_deleted(kubectl: Kubectl, folder: Path, objects: Sequence[Manifest], patch: Path) -> list[Manifest]:
    """Leave out the objects that a patch deletes, with `$patch: delete`: they are not applied."""
    if "$patch" not in read_text(patch, MAX_PATCH):
        return [*objects]
    words = ["create", "--dry-run=client", "--validate=false", f"--kustomize={folder}", "--output=name"]
    names = {*kubectl.output(words).split()}
    return [each for each in objects if reference(each) in names]


def _diffs(kubectl: Kubectl, folder: Path, names: Collection[Name]) -> dict[Name, str]:
    words = ["diff", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}", f"--kustomize={folder}"]
    attempt = kubectl.attempt(words, timeout=_COMPARING)
    if attempt.code > 1 or (attempt.code == 1 and not _HEADER.search(attempt.stdout)):
        kubectl.check(words, attempt)
    return dict(_parts(attempt.stdout, names))


def _parts(text: str, names: Collection[Name]) -> Iterator[tuple[Name, str]]:
    """Split the output by objects; each is a file called GROUP.VERSION.KIND.NAMESPACE.NAME."""
    headers = [*_HEADER.finditer(text)]
    ends = [header.start() for header in headers[1:]]
    for header, end in zip(headers, [*ends, len(text)][: len(headers)], strict=True):
        name = next((name for name in names if _is_file_of(header[1], name)), None)
        if name is None:
            raise KubectlError(f"`kubectl diff` compared {header[1]}, which was not rendered")
        body = _GENERATION.sub("", _FILE_LINE.sub("", text[header.end() : end].lstrip("\n")))
        yield name, body


def _is_file_of(file: str, name: Name) -> bool:
    kind, own = name
    return file.endswith(f".{own}") and f".{kind}." in file
