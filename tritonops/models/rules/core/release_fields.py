"""Fields of a config that came with a release: an older server does not read a file that has one.

The releases are those of the first tritonclient whose model_config.proto has the field, found by comparing 2.30 (23.01)
to 2.73. In these no field and no value of an enumeration has gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tritonops.models.rules.finding import Problem, Subject
from tritonops.triton_image import Release

_SINCE: dict[str, Release] = {
    "ModelEnsembling.Step.model_namespace": (23, 3),
    "ModelSequenceBatching.StrategyOldest.preserve_ordering": (23, 8),
    "ModelSequenceBatching.iterative_sequence": (23, 11),
    "ModelSequenceBatching.State.use_growable_memory": (23, 11),
    "ModelSequenceBatching.State.use_same_buffer_for_input_output": (23, 11),
    "ModelConfig.runtime": (24, 1),
    "ModelInput.is_non_linear_format_io": (24, 8),
    "ModelOutput.is_non_linear_format_io": (24, 8),
    "ModelConfig.model_metrics": (24, 11),
    "ModelEnsembling.max_inflight_requests": (25, 11),
}
_NEWEST = max(_SINCE.values())


def release_field_problems(subject: Subject) -> Iterator[Problem]:
    """Find fields that the judged release does not know; an unknown release knows them all."""
    release = subject.server.release
    if release is None or release >= _NEWEST:
        return
    for name in sorted({name for name in _fields(subject.config) if _SINCE.get(name, release) > release}):
        year, month = _SINCE[name]
        field = name.rpartition(".")[2]
        yield Problem(
            "field-too-new",
            f"`{field}` came with Triton {year}.{month:02}; {subject.server.name} is of {release[0]}.{release[1]:02}",
            f"Triton cannot read the config: 'Message type … has no field named \"{field}\"'",
            f"take `{field}` out, or serve it with Triton {year}.{month:02} or later",
        )


def _fields(message: Any) -> Iterator[str]:
    """Name the fields that a message sets, and those of the messages in it."""
    prefix = f"{message.DESCRIPTOR.full_name.removeprefix('inference.')}."
    for field, value in message.ListFields():
        yield prefix + field.name
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = [each for each in value.values() if hasattr(each, "ListFields")]
        else:
            values = [value] if hasattr(value, "ListFields") else list(value)
        for each in values:
            yield from _fields(each)
