"""JSON Schemas of types, and the page docs/json.md with that of each task's document."""

from __future__ import annotations

import json
import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from tasks.command_line.json_documents import DOCUMENTS, Error
from tritonops.triton.smoke import SmokeResult

_NAMES = {"SmokeResult": SmokeResult}
"""Types that other modules import for type checkers only."""
_HEAD = """\
# JSON output

With `--json` a task prints one JSON document on stdout, and no progress. Where several tasks run in one command line,
each document is one line. `jq` reads both.

A task that fails before it has a result prints `{"error": {"message", "hint", "exit_code"}}` instead, also after
Ctrl-C. One that works on several models or hosts prints the results that it has, exits with a code other than 0, and
names on stderr what failed.

This page is generated from the code by `./inv dev.docs`. Each schema is
[JSON Schema 2020-12](https://json-schema.org/draft/2020-12).
"""


def page() -> str:
    """Write docs/json.md."""
    parts = [_HEAD, _section("An error", Error)]
    parts += [_section(f"`{task}`", document) for task, document in DOCUMENTS.items()]
    return "\n".join(parts)


def _section(title: str, document: Any) -> str:
    schema = json.dumps(json_schema(document), indent=2)
    return f"## {title}\n\n```json\n{schema}\n```\n"


def json_schema(document: Any) -> dict[str, Any]:
    """Give the JSON Schema of a type: a dataclass, a TypedDict, a collection, or a plain value."""
    if document is Any:
        return {}
    if document is None or document is type(None):
        return {"type": "null"}
    if is_dataclass(document) or is_typeddict(document):
        return _object(document)
    origin, arguments = get_origin(document), get_args(document)
    if origin in (Union, types.UnionType):
        return _union([json_schema(each) for each in arguments])
    if origin is Literal:
        return {"enum": [*arguments]}
    if origin is tuple and Ellipsis not in arguments:
        return {"type": "array", "prefixItems": [json_schema(each) for each in arguments]}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": json_schema(arguments[1])}
    if isinstance(origin, type) and issubclass(origin, Collection):
        return {"type": "array", "items": json_schema(arguments[0])}
    return {"type": _PLAIN[document]}


_PLAIN = {str: "string", Path: "string", int: "integer", float: "number", bool: "boolean"}


def _object(document: Any) -> dict[str, Any]:
    hints = get_type_hints(document, localns=_NAMES, include_extras=True)
    names = [field.name for field in fields(document)] if is_dataclass(document) else [*hints]
    is_open = not getattr(document, "__total__", True)  # of records that other versions wrote too
    not_required = {name for name in names if get_origin(hints[name]) is NotRequired}
    properties = {
        name: json_schema(get_args(hints[name])[0] if name in not_required else hints[name]) for name in names
    }
    return {
        "description": " ".join((document.__doc__ or "").split()),
        "type": "object",
        "properties": properties,
        "required": [] if is_open else [name for name in names if name not in not_required],
        "additionalProperties": is_open,
    }


def _union(schemas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join schemas; those of plain types become one list of types."""
    if all(schema.keys() == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": [*schemas]}
