"""ModelConfig messages as plain values, and their differences."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

_UNORDERED = (".versions", ".gpus")
# Triton and the backends complete much of a config, but never add one of these.
_NEVER_COMPLETED = ("ensemble_scheduling", "sequence_batching", "model_warmup", "response_cache")


@dataclass(frozen=True)
class FieldDifference:
    """A field that differs between disk and server; None on the side that lacks it."""

    path: str
    disk: Any
    served: Any


def as_dict(message: Message) -> dict[str, Any]:
    """Convert the fields that are set, by their names in config.pbtxt; enums become names."""
    return {field.name: _plain(field, value) for field, value in message.ListFields()}


def differences(disk: Message, served: Message) -> list[FieldDifference]:
    """Compare the config on disk with the served one.

    Triton completes a config (instance groups, policies, whole inputs), so fields that are not on disk are compared
    only if Triton never adds them.
    """
    on_disk, on_server = as_dict(disk), as_dict(served)
    added = [
        FieldDifference(key, None, on_server[key])
        for key in _NEVER_COMPLETED
        if key in on_server and key not in on_disk
    ]
    return [*_different("", on_disk, on_server), *added]


def changed_fields(loaded: Message, served: Message) -> list[FieldDifference]:
    """Compare two complete configs field by field: as loaded, and as served now."""
    before, now = as_dict(loaded), as_dict(served)
    names = sorted({*before, *now})
    return [
        FieldDifference(name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)
    ]


def as_diff(found: list[FieldDifference], *, disk: str) -> str:
    """Format differences as a unified diff from the served config to the one on disk."""
    lines = ["--- served", f"+++ {disk}"]
    for difference in found:
        lines += [f"-{difference.path}: {_format_value(difference.served)}"] if difference.served is not None else []
        lines += [f"+{difference.path}: {_format_value(difference.disk)}"] if difference.disk is not None else []
    return "\n".join(lines)


def _different(path: str, disk: Any, served: Any) -> Iterator[FieldDifference]:
    if isinstance(disk, dict) and isinstance(served, dict):
        for key, value in disk.items():
            yield from _different(f"{path}.{key}" if path else key, value, served.get(key))
    elif _are_messages(disk) and _are_messages(served) and (pairs := _pairs(disk, served)) is not None:
        for key, value, other in pairs:
            yield from _different(f"{path}[{key}]", value, other)
    elif disk != served and not (path.endswith(_UNORDERED) and sorted(disk) == sorted(served or [])):
        yield FieldDifference(path, disk, served)


def _are_messages(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _pairs(disk: list[Any], served: list[Any]) -> list[tuple[Any, Any, Any]] | None:
    """Pair the messages of two lists: tensors by name, because Triton may add inputs; others by position."""
    if all("name" in item for item in disk):
        by_name = {item.get("name"): item for item in served}
        return [(item["name"], item, by_name.get(item["name"])) for item in disk]
    if len(disk) != len(served):
        return None
    return [(index, *items) for index, items in enumerate(zip(disk, served, strict=True))]


def _format_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + " ".join(f"{key}: {_format_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_format_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _plain(field: FieldDescriptor, value: Any) -> Any:
    if isinstance(value, Mapping) and field.message_type:
        inner = field.message_type.fields_by_name["value"]
        return {key: _single(inner, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_single(field, item) for item in value]
    return _single(field, value)


def _single(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type:
        return as_dict(value)
    if field.enum_type:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    return value
