"""TOML and JSON that people and programs wrote: parsed within bounds, whatever the text is.

tomllib and json are built for text that means well: nesting ends in RecursionError, a key of ten thousand parts takes
minutes, and three bytes of text become a hundred in memory. Each limit here is far above what a person writes.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import sys
import tomllib
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from tritonops.display_text import clip, one_line
from tritonops.errors import InputError
from tritonops.files import read_text
from tritonops.redaction import redact_value

_T = TypeVar("_T")

MAX_TOML = 1 << 20
"""Bytes of a TOML file that a person wrote: about 5,000 model versions."""
MAX_JSON = 64 << 20
"""Bytes of a JSON file of tensors."""
MAX_RECORD = 1 << 20
"""Bytes of a JSON record that the project itself wrote."""

_MAX_KEY_PARTS = 32
_TOML_COSTS = {"[": 8, ".": 2, "{": 1, "=": 1, ",": 1}
"""What tomllib makes of each, about 100 bytes each: a table takes 800."""
_MAX_TOML_COST = 400_000
_JSON_COSTS = {",": 40, '"': 20, ":": 120, "[": 80, "{": 250}
_MEMORY_FLOOR = 40 << 20
_BOM = "\ufeff"

# It begins at a dot, which a search finds far faster than the start of a word: this looks through every models.lock.
_LONG_KEY = re.compile(
    r"""\.[ \t]*+(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+)""" + f"{{{_MAX_KEY_PARTS - 1}}}", re.ASCII
)
# Numbers end in int()'s ValueError; tomllib takes 120 bytes of memory for one of their digits.
_LONG_NUMBER = re.compile(r"(?<![0-9A-Za-z_])[0-9A-Za-z_]{4000}")
_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_toml(text: str, where: object) -> dict[str, Any]:
    """Parse TOML; `where` names the file. Raises InputError with the line."""
    text = text.removeprefix(_BOM)
    if long_key := _LONG_KEY.search(text):
        raise _error(where, _line(text, long_key.start()), f"a key has more than {_MAX_KEY_PARTS} parts")
    if long_number := _LONG_NUMBER.search(text):
        raise _error(where, _line(text, long_number.start()), "a number or a word has more than 4,000 characters")
    if sum(cost * text.count(mark) for mark, cost in _TOML_COSTS.items()) > _MAX_TOML_COST:
        raise _error(where, None, "too many tables and values")
    try:
        return tomllib.loads(text)
    except ValueError as exc:
        raise _error(where, None, f"not valid TOML: {clip(str(exc), 300)}") from exc
    except RecursionError as exc:
        raise _error(where, _deep_line(text), "nested too deeply") from exc


def toml_string(value: str) -> str:
    """Write a string as TOML does: a JSON string is a basic string of TOML, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def toml_key(name: str) -> str:
    """Write a key as TOML does: bare where that is possible."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_string(name)


def read_json(path: Path, *, pipe_timeout: float | None = None) -> Any:
    """Read and parse a JSON file. Raises UnreadableFileError, and InputError with line and column."""
    return parse_json(read_text(path, MAX_JSON, pipe_timeout=pipe_timeout), path)


def parse_json(text: str, where: object) -> Any:
    """Parse JSON; `where` names the file. Raises InputError with line and column; also for a key that comes twice."""
    text = text.removeprefix(_BOM)
    _refuse_large_result(text, where)
    try:
        value = json.loads(text, object_pairs_hook=_unique)
        if _LONE_SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as exc:
        raise InputError(f"{where}, line {exc.lineno}, column {exc.colno}: not valid JSON: {exc.msg}") from exc
    except UnicodeEncodeError as exc:
        raise _error(where, _line(text, _surrogate(text)), "half of a surrogate pair is not a character") from exc
    except ValueError as exc:
        raise _error(where, _long_number(text), f"not valid JSON: {clip(str(exc), 300)}") from exc
    except RecursionError as exc:
        raise _error(where, _deep_line(text), "nested too deeply") from exc
    return value


def parse_record(cls: type[_T], text: str) -> _T:
    """Read a JSON object that the project wrote into its dataclass; unknown keys are ignored.

    Raises ValueError for anything else: no object, a missing field, a value of another type.
    """
    if len(text) > MAX_RECORD:
        raise ValueError(f"larger than {MAX_RECORD:,} bytes")
    try:
        values = parse_json(text, cls.__name__)
    except InputError as exc:
        raise ValueError(str(exc)) from exc
    if not isinstance(values, Mapping):
        raise ValueError(f"expected an object, not {abbreviate(values)}")
    hints = _hints(cast(Hashable, cls))
    found = {name: _typed(name, values[name], hint) for name, hint in hints.items() if name in values}
    try:
        return cls(**found)
    except TypeError as exc:
        raise ValueError(str(exc)) from exc


def abbreviate(value: object) -> str:
    """Show a value in a message: at most 80 characters, without control characters, however large or deep it is."""
    import reprlib

    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"

    class Shortener(reprlib.Repr):
        def repr_int(self, x: int, level: int) -> str:
            return abbreviate(x) if x.bit_length() > 256 else str(x)

        def repr_str(self, x: str, level: int) -> str:
            return repr(clip(redact_value(x[:400]), 80))

    shortener = Shortener()
    shortener.maxlevel, shortener.maxother = 3, 80
    shortener.maxlist = shortener.maxdict = shortener.maxtuple = 4
    return clip(one_line(shortener.repr(value)), 80)


def _error(where: object, line: int | None, problem: str) -> InputError:
    return InputError(f"{where}, line {line}: {problem}" if line else f"{where}: {problem}")


def _refuse_large_result(text: str, where: object) -> None:
    """Refuse what would take more than four times the text: a list of three bytes takes eighty in memory."""
    result = sum(cost * text.count(mark) for mark, cost in _JSON_COSTS.items())
    size = sys.getsizeof(text)
    if size + result > 4 * len(text) + _MEMORY_FLOOR:
        raise InputError(
            f"{where}: too many values for JSON ({result >> 20} MB in memory)",
            hint="Write large tensors with numpy.savez into an .npz file.",
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = (key for key, _ in pairs)
        twice = next(key for key, first in itertools.zip_longest(keys, result) if key != first)
        raise ValueError(f"the key {abbreviate(twice)} comes twice")
    return result


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _long_number(text: str) -> int | None:
    found = _LONG_NUMBER.search(text)
    return _line(text, found.start()) if found else None


def _surrogate(text: str) -> int:
    found = _LONE_SURROGATE.search(text)
    return found.start() if found else 0


def _deep_line(text: str) -> int | None:
    """Find the line where brackets are a hundred deep; those in strings count too, so it is a guess."""
    depth = 0
    for match in re.finditer(r"[\[\]{}]", text):
        depth += 1 if match.group() in "[{" else -1
        if depth > 100:
            return _line(text, match.start())
    return None


@functools.cache
def _hints(cls: Hashable) -> dict[str, Any]:
    return get_type_hints(cls)


def _typed(name: str, value: Any, hint: Any) -> Any:
    """Check a JSON value against str, int, float, X | None, tuple[X, ...], tuple[X, Y] or Mapping[str, X]."""
    kind, parts = get_origin(hint), get_args(hint)
    if kind is tuple and isinstance(value, list):
        kinds = parts[:1] * len(value) if parts[1:] == (...,) else parts
        if len(kinds) == len(value):
            return tuple(_typed(name, item, part) for item, part in zip(value, kinds, strict=True))
    elif kind is not None and isinstance(kind, type) and issubclass(kind, Mapping) and isinstance(value, dict):
        return {key: _typed(name, item, parts[1]) for key, item in value.items()}
    elif kind is None and isinstance(value, (int, float) if hint is float else hint):
        if not isinstance(value, bool):
            return value
    elif parts and kind not in (tuple, Mapping):
        return None if value is None else _typed(name, value, parts[0])
    raise ValueError(f"{name}: {abbreviate(value)} is not what it should be")
