"""A host as the version before this one left it: one env file for all releases, one Compose project for all hosts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tritonops.remote.layout.paths import Layout

_INV = """#!/bin/sh
set -eu
umask 022
root={root}
export TRITON_MODELS_DIR="$root/shared/triton" TRITON_RUNTIME={runtime}
export TRITONOPS_REQUIREMENTS="${{TRITONOPS_REQUIREMENTS:-runtime}}"
export TRITONOPS_VENV="$root/shared/venvs/{venv}"
grep -qsE '^[[:space:]]*(export[[:space:]]+)?COMPOSE_PROJECT_NAME[[:space:]]*[=:]' "$root/env" ||
    export COMPOSE_PROJECT_NAME=tritonops
exec "$root/releases/{id}/project/inv" "$@"
"""


def make_earlier(root: Path) -> str:
    """Turn the release that serves into one of the version before, and return its name."""
    layout = Layout(root)
    release = layout.current
    assert release
    record = release.record
    release.inv.write_text(_INV.format(root=root, runtime=record.runtime, venv=record.venv, id=record.id))
    (release.project / ".env").unlink()
    (release.project / ".env").symlink_to("../../../env")
    shutil.rmtree(root / "envs")
    for file in (layout.reserve, release.listed, release.path / "manifest", release.path / "started.json"):
        file.unlink(missing_ok=True)
    layout.runtime.write_text("0" * 64)
    record = json.loads((release.path / "release.json").read_text())
    (release.path / "release.json").write_text(json.dumps({**record, "digest": ""}))
    activation = json.loads((release.path / "outcome.json").read_text())
    for key in ("restarted", "gap", "loads", "seal", "before", "by_hand", "pruned"):
        del activation[key]
    (release.path / "outcome.json").write_text(json.dumps(activation))
    return release.id
