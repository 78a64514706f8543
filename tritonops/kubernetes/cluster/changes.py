"""Change what a cluster has of a target: apply, take over fields, annotate, delete. Each is one kubectl command."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from tritonops.display_text import clip, one_line
from tritonops.errors import KubectlError, SupersededError
from tritonops.kubernetes.cluster.kubectl import Kubectl
from tritonops.kubernetes.cluster.live import LiveTarget, read_rollout
from tritonops.kubernetes.cluster.managed_fields import MANAGER, taken_over
from tritonops.kubernetes.cluster.revision import RECORD, RESULT, RESULT_OF, deploy_of
from tritonops.kubernetes.manifests.names import Manifest

_APPLYING = 300.0
_NOTES, _COPYING = 10, 0.5
_APPLY = ("apply", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}")


def apply_folder(kubectl: Kubectl, folder: Path) -> None:
    """Apply a kustomization. Raises KubectlError: some of the objects may be applied then."""
    kubectl.output([*_APPLY, f"--kustomize={folder}"], timeout=_APPLYING)


def apply_object(kubectl: Kubectl, found: Manifest) -> None:
    """Apply one object."""
    kubectl.output([*_APPLY, "--filename=-"], stdin=json.dumps(found), timeout=_APPLYING)


def take_over(kubectl: Kubectl, found: Manifest, *, is_scaled: bool) -> None:
    """Become the manager of an object's content, so that the next apply removes what others added to it.

    Raises KubectlError where somebody changed the object since it was read.
    """
    fields = taken_over(found, is_scaled=is_scaled)
    if fields is None:
        return
    metadata = {"managedFields": fields, "resourceVersion": found["metadata"]["resourceVersion"]}
    words = ["patch", reference(found), "--type=merge", "--patch-file=/dev/stdin", "--output=name"]
    kubectl.output(words, stdin=json.dumps({"metadata": metadata}))


def note_result(kubectl: Kubectl, live: LiveTarget, result: str) -> None:
    """Note at the current revision whether its last deploy served, and read that back.

    The cluster copies the record from the Deployment in its own time: what it copied late is noted once more. Raises
    SupersededError where another revision became the current one, which nobody has seen serve, and KubectlError where
    the note does not last.
    """
    assert live.current
    name, text = live.current.name, clip(one_line(result))
    for _ in range(_NOTES):
        kubectl.output(["annotate", "replicasets.apps", name, *_note(live, text), "--overwrite", "--output=name"])
        time.sleep(_COPYING)
        live = read_rollout(kubectl, live.target)
        if not live.revisions or live.revisions[-1].name != name:
            raise SupersededError(
                f"{live.target.name}: somebody deployed another release meanwhile, in place of {name}"
            )
        if live.revisions[-1].result == text:
            return
    raise KubectlError(f"{live.target.name}: {name} does not keep its result, which is: {text}")


def _note(live: LiveTarget, text: str) -> list[str]:
    """Write the annotations of a result, and of the deploy that it belongs to."""
    found = live.deployment["metadata"].get("annotations", {}) if live.deployment else {}
    record = {name: found[name] for name in RECORD if name in found}
    values = {**record, RESULT: text, RESULT_OF: deploy_of(found)}
    return [
        *(f"{name}={value}" for name, value in values.items()),
        *(f"{name}-" for name in RECORD if name not in record),
    ]


def delete(kubectl: Kubectl, objects: Sequence[Manifest], *, wait: bool = False) -> None:
    """Delete objects by name."""
    if objects:
        words = ["delete", *map(reference, objects), "--ignore-not-found", f"--wait={str(wait).lower()}"]
        kubectl.output([*words, "--output=name"], timeout=_APPLYING)


def reference(found: Manifest) -> str:
    """Write kind and name of an object for kubectl: "deployment.apps/production-triton"."""
    group = found["apiVersion"].rpartition("/")[0]
    return f"{found['kind'].lower()}{f'.{group}' if group else ''}/{found['metadata']['name']}"
