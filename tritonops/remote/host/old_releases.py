"""Delete old releases, with the environments and env files that no other uses."""

from __future__ import annotations

import shutil
import time

from tritonops.remote.layout.paths import Layout, Release

KEEP = 5
_RECENT = 3600.0


def delete_old_releases(layout: Layout, *, keep: int = KEEP) -> None:
    """Delete all but the newest releases that served, and the environments and envs that no other uses.

    The current release stays, and the target of its rollback.
    """
    names, current = layout.names(), layout.current
    needed = {current.id, current.activation.before if current.activation else None} if current else set()
    done = [name for name in names if (activation := layout.release(name).activation) and activation.result == "done"][
        -keep:
    ]
    for name in names:
        newer = bool(done) and name > done[-1]
        if name not in done and not newer and name not in needed and not _waits_for_activation(layout.release(name)):
            shutil.rmtree(layout.root / "releases" / name)
    used = {layout.release(name).record.venv for name in layout.names()}
    for venv in (layout.shared / "venvs").glob("*/"):
        if venv.name not in used:
            shutil.rmtree(venv)
    for env in (layout.root / "envs").glob("*"):
        if env.name not in layout.names():
            env.unlink()


def _waits_for_activation(release: Release) -> bool:
    """Whether another deploy has sent it, and is about to activate it."""
    return release.activation is None and time.time() - release.path.stat().st_mtime < _RECENT
