"""config.pbtxt: parsed with Triton's own protobuf schema, and edited without touching the rest of the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tritonops import files
from tritonops.display_text import clip
from tritonops.errors import ConfigError, UnreadableFileError
from tritonops.models.configs.generated_protobuf import generated
from tritonops.models.configs.parser_differences import as_python_reads, differences

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import (
        BatchInput,
        ModelInput,
        ModelOutput,
        ModelSequenceBatching,
        ModelWarmup,
    )

    _Typed = ModelInput | ModelOutput | BatchInput | ModelWarmup.Input | ModelSequenceBatching.State
    from tritonclient.grpc.model_config_pb2 import ModelConfig as ModelConfig
else:
    ModelConfig = Any  # see message_class

MAX_CONFIG = 200_000
"""Bytes of a config.pbtxt."""


_BLANK = re.compile(r"[^\S\n]{20000}")
"""What protobuf's parser would take megabytes of memory for."""


def parse_config(text: str, *, where: str = "config.pbtxt") -> ModelConfig:
    """Parse a config as Triton does. Raises ConfigError with `where`, line and column."""
    from google.protobuf import text_format

    if blank := _BLANK.search(text):
        line = text.count("\n", 0, blank.start()) + 1
        raise ConfigError(where, line, None, "has 20,000 characters of white space in a row")
    for difference in differences(text):
        line, column = _place(text, difference.position)
        raise ConfigError(where, line, column, difference.problem)
    try:
        return text_format.Parse(as_python_reads(text), message_class()())
    except text_format.ParseError as exc:
        raise ConfigError(where, exc.GetLine(), exc.GetColumn(), _problem(str(exc))) from exc
    except ValueError as exc:  # of a number that an enumeration cannot take
        raise ConfigError(where, None, None, str(exc)) from exc


def message_class() -> type[ModelConfig]:
    """Give the class of inference.ModelConfig, with the schema, which takes a twentieth of a second to import."""
    found: type[ModelConfig] = generated("model_config_pb2").ModelConfig
    return found


def read_config(path: Path) -> ModelConfig:
    """Parse a file. Raises ConfigError with its path, line and column; also for a file that cannot be read."""
    return parse_config(read_text(path), where=str(path))


def read_text(path: Path) -> str:
    """Read a config as it is, line ends and all. Raises ConfigError."""
    try:
        return files.read_text(path, MAX_CONFIG)
    except UnreadableFileError as exc:
        raise _unreadable(path, exc) from exc


def read_text_if_present(path: Path) -> str | None:
    """Read a config as it is; None where there is no file, as behind a link to nothing. Raises ConfigError."""
    try:
        return files.read_text(path, MAX_CONFIG)
    except UnreadableFileError as exc:
        if exc.missing:
            return None
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, exc: UnreadableFileError) -> ConfigError:
    return ConfigError(str(path), exc.line, None, exc.problem)


def _place(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def _problem(message: str) -> str:
    """Drop the position and the repeated line that text_format puts in front of the reason."""
    return clip(re.sub(r"^\d+:\d+ : (?:'.*': )?(?=[A-Z])", "", message, flags=re.DOTALL), 300)


def escaped(text: str) -> str:
    """Escape a text for a string of protobuf's text format: quotes, newlines, backslashes."""
    from google.protobuf.text_encoding import CEscape

    return str(CEscape(text, as_utf8=True))  # type: ignore[arg-type]  # it takes both, and its stub says bytes


def type_name(tensor: _Typed) -> str:
    """Write the data type of a part of a config as its text does: "TYPE_FP32", or a number that stands for none."""
    kind = tensor.DESCRIPTOR.fields_by_name["data_type"].enum_type
    assert kind is not None
    value = kind.values_by_number.get(tensor.data_type)
    return str(tensor.data_type) if value is None else str(value.name)
