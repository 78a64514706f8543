"""The shell programs of a pod: how Triton starts, and when it has started."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "scripts"
FOLDER = "/etc/tritonops"
"""Where the containers find them."""
SERVE, STARTED = "serve.sh", "started.sh"
_LIST = "<<'EXPECTED'\n"
_EXPECTED = re.compile(r"^models/(.+)/versions/(\d+)$", re.MULTILINE)


def scripts(expected: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Write the programs, by file name; one asks for each of these versions of models."""
    paths = "".join(f"models/{name}/versions/{version}\n" for name, version in expected)
    return {SERVE: _read(SERVE), STARTED: _read(STARTED).replace(_LIST, f"{_LIST}{paths}")}


def expected_versions(program: str) -> list[tuple[str, int]]:
    """Read the versions that a startup probe asks for from its program."""
    return [(name, int(version)) for name, version in _EXPECTED.findall(program)]


def digest(programs: Mapping[str, str]) -> str:
    """Hash the programs."""
    return hashlib.sha256("\0".join(f"{name}\0{text}" for name, text in programs.items()).encode()).hexdigest()


def _read(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")
