"""Who set which field of an object, as the API server records it: a field that somebody else added is drift.

Server-side apply sets our fields and removes those that we no longer set. A field that another manager added, such as a
variable added with `kubectl edit`, stays, and no comparison with our manifest shows it. So it is found in the managed
fields, and taken over: the next apply, which does not set it, removes it.

The format (FieldsV1): `f:NAME` is a field, `k:{…}` an item of a list by its keys, `.` the item itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tritonops.kubernetes.cluster.revision import RESTARTED
from tritonops.kubernetes.manifests.names import PREFIX, Manifest

MANAGER = "tritonops"
"""The field manager of a deploy."""
_SCALER = "tritonops-autoscaler"
"""Owns the replicas from the moment that an autoscaler has them until it sets them."""
Fields = Mapping[str, Any]
_CONTENT = ("f:spec", "f:data", "f:binaryData")
_REPLICAS: Fields = {"f:spec": {"f:replicas": {}}}


def foreign_fields(live: Manifest, *, is_scaled: bool = False) -> dict[str, Any]:
    """Give the fields of an object's content that others set and we do not; `is_scaled`: the replicas are theirs."""
    ours, found = _ours(live) or {}, dict[str, Any]()
    for entry in _others(live):
        fields = {name: value for name, value in entry["fieldsV1"].items() if name in _CONTENT}
        found = _union(found, _difference({**fields, **_record(entry["fieldsV1"])}, ours))
    for expected in (_annotation(f"f:{RESTARTED}"), *([_REPLICAS] if is_scaled else [])):
        found = _difference(found, expected)
    return found


def is_applied(live: Manifest) -> bool:
    """Whether a deploy applied the object; if not, somebody applied rendered manifests with kubectl."""
    return _ours(live) is not None


def sets_replicas(live: Manifest) -> bool:
    """Whether a deploy set the replicas, and nobody else did since."""
    return not _difference(_REPLICAS, _ours(live) or {})


def field_paths(fields: Fields) -> list[str]:
    """Write fields as paths: "spec.template.spec.containers[triton].env[LOG]"."""
    return [path.lstrip(".") for path in _paths(fields, "")]


def taken_over(live: Manifest, *, is_scaled: bool = False) -> list[Manifest] | None:
    """Write the managed fields of an object so that all of its content is ours alone, but for an autoscaler's replicas.

    A field that another manager set to the same value would stay when we no longer set it. None where nothing changes.
    """
    foreign, ours = foreign_fields(live, is_scaled=is_scaled), _ours(live)
    own, gives_replicas = _union(ours or {}, foreign), is_scaled and sets_replicas(live)
    if gives_replicas:
        own = _difference(own, _REPLICAS)
    content = {**{name: value for name, value in own.items() if name in _CONTENT}, **_record(own)}
    others = _others(live, all_of_them=True)
    entries = [{**entry, "fieldsV1": left} for entry in others if (left := _difference(entry["fieldsV1"], content))]
    if gives_replicas:
        entries.append(_entry(live, _SCALER, "Update", _REPLICAS))
    if entries == others and not (foreign or (own and ours is None)):
        return None
    return [*entries, _entry(live, MANAGER, "Apply", own)] if own else entries


def _entry(live: Manifest, manager: str, operation: str, fields: Fields) -> Manifest:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": live["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": dict(fields),
    }


def _ours(live: Manifest) -> Fields | None:
    return next((entry["fieldsV1"] for entry in _entries(live) if _is_ours(entry)), None)


def _others(live: Manifest, *, all_of_them: bool = False) -> list[Manifest]:
    """List the other managers; without `all_of_them`, not those of the status."""
    return [
        entry
        for entry in _entries(live)
        if not _is_ours(entry) and (all_of_them or entry.get("subresource") != "status")
    ]


def _is_ours(entry: Manifest) -> bool:
    return (entry["manager"], entry["operation"]) == (MANAGER, "Apply")


def _entries(live: Manifest) -> list[Manifest]:
    return [entry for entry in live["metadata"].get("managedFields", []) if entry.get("fieldsV1")]


def _record(fields: Fields) -> Fields:
    """Give the annotations that are ours by their name: `kubectl rollout undo` copies them from a ReplicaSet, with the
    result of a deploy, and the cluster would go on copying them to every ReplicaSet.
    """
    annotations = fields.get("f:metadata", {}).get("f:annotations", {})
    found = {name: value for name, value in annotations.items() if name.startswith(f"f:{PREFIX}")}
    return {"f:metadata": {"f:annotations": found}} if found else {}


def _annotation(name: str) -> Fields:
    return {"f:spec": {"f:template": {"f:metadata": {"f:annotations": {name: {}}}}}}


def _difference(fields: Fields, less: Fields) -> dict[str, Any]:
    """Give the fields that `less` does not have."""
    found = dict[str, Any]()
    for name, value in fields.items():
        if name not in less:
            found[name] = value
        elif less[name] and (rest := _difference(value, less[name])):
            found[name] = rest
    return {} if found.keys() <= {"."} and less else found


def _union(first: Fields, second: Fields) -> dict[str, Any]:
    found = dict(first)
    for name, value in second.items():
        found[name] = _union(found[name], value) if name in found else value
    return found


def _paths(fields: Fields, path: str) -> Iterator[str]:
    items = {name: value for name, value in fields.items() if name.startswith("k:")}
    if "." in fields and path.endswith("]"):  # an item of a list as a whole: its fields say no more
        yield path
        return
    for name, value in fields.items():
        if name == ".":
            continue
        here = f"{path}[{_key(name)}]" if name in items else f"{path}.{name.partition(':')[2]}"
        if value and value.keys() != {"."}:
            yield from _paths(value, here)
        else:
            yield here


def _key(name: str) -> str:
    """Write the keys of an item: those of a list are JSON, with the item's name where it has one."""
    keys = json.loads(name.removeprefix("k:"))
    return str(keys["name"]) if "name" in keys else ",".join(map(str, keys.values()))
