"""The name of the Compose project of a host: one for each folder and user, so that none takes another's containers."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
from pathlib import Path


def compose_project(root: Path) -> str:
    """Name the Compose project of this folder and user, as inv_wrapper.sh does."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    digest = hashlib.sha256(os.fsencode(f"{user}:{os.path.realpath(root)}")).hexdigest()[:8]
    return f"tritonops-{re.sub('[^a-z0-9]', '-', user)}-{digest}"
