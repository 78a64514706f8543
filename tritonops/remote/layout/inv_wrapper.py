"""`releases/<id>/inv`: runs a task of one release with the settings of its host."""

from __future__ import annotations

from tritonops.remote.layout.records import ReleaseRecord
from tritonops.remote.layout.scripts import script

_HEAD = "#!/bin/sh\n# Runs a task of this release with the settings of this host: ./inv triton.list\n"


def inv_wrapper(root: str, record: ReleaseRecord) -> str:
    """Write the script for a release below `root`, an absolute path."""
    body = script("inv_wrapper", root=root, release=record.id, runtime=record.runtime, venv=record.venv)
    return f"{_HEAD}{body}"
