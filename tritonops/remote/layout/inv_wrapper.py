"""`releases/<id>/inv`: runs a task of one release with the settings of its host."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shlex
from pathlib import Path

from tritonops.remote.layout.records import ReleaseRecord

_INV = """#!/bin/sh
# Runs a task of this release with the settings of this host: ./inv triton.list
set -eu
umask 022
root={root}
export TRITON_MODELS_DIR="$root/shared/triton" TRITON_RUNTIME={runtime}
export TRITONOPS_REQUIREMENTS="${{TRITONOPS_REQUIREMENTS:-runtime}}"
export TRITONOPS_VENV="$root/shared/venvs/{venv}"
export TRITONOPS_SECRETS="$root/env"
if grep -qsE '^[[:space:]]*(export[[:space:]]+)?COMPOSE_PROJECT_NAME[[:space:]]*[=:]' "$root/envs/{id}"; then
    unset COMPOSE_PROJECT_NAME
else
    # Of its own for each folder and user: another one's would be taken for ours, and replaced.
    user=$(id -un 2>/dev/null || id -u)
    word=$(printf %s "$user" | LC_ALL=C tr -c a-z0-9 -)
    digest=$(printf '%s:%s' "$user" "$(cd -P -- "$root" && pwd)" | sha256sum | cut -c1-8)
    export COMPOSE_PROJECT_NAME="tritonops-$word-$digest"
fi
export PATH="$PATH:$HOME/.local/bin" # where uv's installer puts it; only a login shell looks there
exec "$root/releases/{id}/project/inv" "$@"
"""


def inv_wrapper(root: str, record: ReleaseRecord) -> str:
    """Write the script for a release below `root`, an absolute path."""
    return _INV.format(root=shlex.quote(root), runtime=record.runtime, venv=record.venv, id=record.id)


def compose_project(root: Path) -> str:
    """Name the Compose project of this folder and user, as the script does."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    digest = hashlib.sha256(os.fsencode(f"{user}:{os.path.realpath(root)}")).hexdigest()[:8]
    return f"tritonops-{re.sub('[^a-z0-9]', '-', user)}-{digest}"
