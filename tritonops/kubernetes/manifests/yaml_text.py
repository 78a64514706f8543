"""Objects as YAML: the same bytes for the same objects, whatever library is installed.

Texts of several lines are written as blocks, so that configs and scripts can be read; what a block cannot have is
quoted as in JSON, which is YAML too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
"""What YAML 1.1 takes for something else than a string, in any case."""


def yaml_documents(objects: Sequence[Mapping[str, Any]]) -> str:
    """Write objects as one stream."""
    return "---\n".join(yaml_text(each) for each in objects)


def yaml_text(value: Mapping[str, Any]) -> str:
    """Write one object."""
    return "".join(f"{line}\n" for line in _mapping(value, ""))


def _mapping(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, item in value.items():
        yield from _item(f"{indent}{_string(key)}:", item, indent, indent)


def _sequence(value: Sequence[Any], indent: str) -> Iterator[str]:
    for item in value:
        if isinstance(item, Mapping) and item:
            first, *rest = _mapping(item, f"{indent}  ")
            yield f"{indent}- {first[len(indent) + 2 :]}"
            yield from rest
        else:
            yield from _item(f"{indent}-", item, indent, f"{indent}  ")


def _item(head: str, item: Any, indent: str, list_indent: str) -> Iterator[str]:
    """Write what belongs to a key or a dash; a list below a key is not indented, as in kubectl's own output."""
    if isinstance(item, Mapping) and item:
        yield head
        yield from _mapping(item, f"{indent}  ")
    elif isinstance(item, list | tuple) and item:
        yield head
        yield from _sequence(item, list_indent)
    elif isinstance(item, str) and _is_block(item):
        yield f"{head} {_block_mark(item)}"
        yield from (f"{indent}  {line}" if line else "" for line in item.removesuffix("\n").split("\n"))
    else:
        yield f"{head} {_scalar(item)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _string(value)
    return json.dumps(value)  # a number, true, false, null; also {} and []


def _string(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[\x7f-\xa0\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]", _escaped, quoted)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _is_block(text: str) -> bool:
    """Whether it has several lines, of which a block keeps every character."""
    lines = text.split("\n")
    if len(lines) < 2 or not lines[0] or lines[0][0] in " \t":
        return False
    return all(line.replace("\t", " ").isprintable() and (line.strip() or not line) for line in lines)


def _block_mark(text: str) -> str:
    """Say what becomes of the line feeds at its end: all are kept, one is, or there is none."""
    if text.endswith("\n\n"):
        return "|+"
    return "|" if text.endswith("\n") else "|-"
