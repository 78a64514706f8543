"""The control tensors of sequence batching, by themselves.

The rules are those of GetBooleanSequenceControlProperties and GetTypedSequenceControlProperties in the core's
model_config_utils.cc (r24.10 and r26.04 alike).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tritonops.models.configs.pbtxt import type_name
from tritonops.models.rules.sequences.mistake import Mistake

ID_KIND = "CONTROL_SEQUENCE_CORRID"
"""The kind whose tensor has a value of its own, the correlation ID."""
ID_TYPES = ("TYPE_UINT64", "TYPE_INT64", "TYPE_UINT32", "TYPE_INT32", "TYPE_STRING")
VALUE_TYPES = {"int32_false_true": "TYPE_INT32", "fp32_false_true": "TYPE_FP32", "bool_false_true": "TYPE_BOOL"}
"""The type of a control tensor, by the field that says which values mean false and true."""


def kinds(batching: Any) -> Iterator[tuple[str, str, Any]]:
    """Give the tensor, the kind and the message of each control. Triton passes over a number that is no kind."""
    for tensor in batching.control_input:
        for control in tensor.control:
            if control.kind in control.Kind.values():
                yield tensor.name, str(control.Kind.Name(control.kind)), control


def control_type(kind: str, control: Any) -> str:
    """Tell the type that a control's tensor has."""
    if kind == ID_KIND:
        return type_name(control)
    return next((datatype for field, datatype in VALUE_TYPES.items() if len(getattr(control, field))), "TYPE_INVALID")


def control_mistakes(batching: Any) -> Iterator[Mistake]:
    """Find what the core refuses about control tensors."""
    names = Counter(tensor.name for tensor in batching.control_input)
    for name, count in names.items():
        if not name:
            yield Mistake("a control tensor has no `name`", "it 'must have a name'", "name it as the model does")
        elif count > 1:
            yield Mistake(
                f"{name!r} is listed as a control tensor {count} times",
                "it 'is specified for multiple control kinds'",
                "give each control an input of its own",
            )
    for kind, count in Counter(kind for _, kind, _ in kinds(batching)).items():
        if count > 1:
            yield Mistake(
                f"{kind} stands there {count} times",
                "it 'specifies multiple' tensors for it",
                "take all but one of them out",
            )
    for name, kind, control in kinds(batching):
        yield from _typed(name, control) if kind == ID_KIND else _boolean(name, kind, control)


def _typed(name: str, control: Any) -> Iterator[Mistake]:
    if _values(control):
        yield Mistake(
            f"{ID_KIND} {name!r} has {' and '.join(_values(control))}",
            "it 'must not specify' those for a correlation ID, which is a value of its own",
            "take them out, and give its data_type, as in TYPE_UINT64",
        )
    if type_name(control) not in ID_TYPES:
        yield Mistake(
            f"{ID_KIND} {name!r} is not of a whole number's type, nor a string",
            "'unexpected data type for control'",
            "write data_type: TYPE_UINT64, or what the model takes",
        )


def _boolean(name: str, kind: str, control: Any) -> Iterator[Mistake]:
    values = _values(control)
    if not values:
        yield Mistake(
            f"{kind} {name!r} does not say which values mean false and true",
            "it 'must specify int32_false_true, fp32_false_true or bool_false_true'",
            "write int32_false_true: [ 0, 1 ]",
        )
    elif len(values) > 1:
        yield Mistake(
            f"{kind} {name!r} has {' and '.join(values)}",
            "it 'specifies more than one' of them",
            "keep the one of the input's type",
        )
    elif (count := len(getattr(control, values[0]))) != 2:
        yield Mistake(
            f"{kind} {name!r} has {count} {'entry' if count == 1 else 'entries'} in {values[0]}",
            "it 'must have exactly 2 entries': what means false, and what means true",
            f"write {values[0]}: [ {'false, true' if values[0].startswith('bool') else '0, 1'} ]",
        )


def _values(control: Any) -> list[str]:
    return [field for field in VALUE_TYPES if len(getattr(control, field))]
