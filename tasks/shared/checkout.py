"""The checkout that the tasks work on."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from tritonops.errors import TritonOpsError
from tritonops.project import Project

PROJECT = Path(__file__).resolve().parents[2]
READS_ENV_FILE = True
"""Tests turn it off: a developer's own `.env` must not change what they see."""


@functools.cache
def project() -> Project:
    """This checkout, read once for each task; what looks misspelt in the environment or .env is named once."""
    found = Project.load(PROJECT, env_file=READS_ENV_FILE)
    for warning in found.settings.environment.warnings:
        if warning not in _warned:
            _warned.add(warning)
            print(f"warning: {warning}", file=sys.stderr)
    return found


_warned: set[str] = set()


def uv() -> str:
    """Find uv: on the PATH, or where the bootstrap put it."""
    import shutil

    bundled = Path(sys.executable).with_name("uv")
    if found := shutil.which("uv") or (str(bundled) if bundled.exists() else None):
        return found
    raise TritonOpsError("uv is not installed", hint="https://docs.astral.sh/uv/getting-started/installation/")
