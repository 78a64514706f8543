"""What a host records of its releases, and which it deletes."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace

from tritonops.errors import (
    TritonOpsError,
)
from tritonops.remote.host.loads import (
    seal,
)
from tritonops.remote.layout.paths import Layout, Release
from tritonops.remote.layout.records import Outcome
from tritonops.remote.layout.shell_functions import DIGESTS

KEEP = 5


def prune(layout: Layout, *, keep: int = KEEP) -> None:
    """Delete all but the newest releases that served, and the environments and envs that none of the rest uses.

    The current release stays, and the one that a rollback goes to.
    """
    names, current = layout.names(), layout.current
    needed = {current.id, current.outcome.before if current.outcome else None} if current else set()
    done = [name for name in names if (outcome := layout.release(name).outcome) and outcome.result == "done"][-keep:]
    for name in names:
        newer = bool(done) and name > done[-1]
        if name not in done and not newer and name not in needed:
            shutil.rmtree(layout.root / "releases" / name)
    used = {layout.release(name).facts.venv for name in layout.names()}
    for venv in (layout.shared / "venvs").glob("*/"):
        if venv.name not in used:
            shutil.rmtree(venv)
    for env in (layout.root / "envs").glob("*"):
        if env.name not in layout.names():
            env.unlink()


def _record(layout: Layout, release: Release, outcome: Outcome, *, by: str, kind: str) -> None:
    """Keep the outcome; where that fails, whoever follows the activation has it nevertheless."""
    with suppress(OSError):
        _write_records(layout, release, outcome, by=by, kind=kind)


def _write_records(layout: Layout, release: Release, outcome: Outcome, *, by: str, kind: str) -> None:
    if outcome.result == "done" or release.outcome is None:
        release.save_outcome(outcome)
    _audit(layout, release.id, _digest_of(release), outcome, by=by, kind=kind)


def _digest_of(release: Release) -> str:
    try:
        return release.facts.digest
    except TritonOpsError:
        return ""


def _audit(layout: Layout, name: str, digest: str, outcome: Outcome, *, by: str, kind: str) -> None:
    with suppress(OSError):
        layout.audit(
            at=outcome.at,
            by=by,
            what=kind,
            release=name,
            digest=digest,
            result=outcome.result,
            changed=outcome.changed,
            seconds=outcome.seconds,
            restarted=outcome.restarted,
            gap=outcome.gap,
            message=outcome.message.splitlines()[0] if outcome.message else "",
        )


def is_sealed(layout: Layout, release: Release) -> bool:
    """Whether the files that Triton is shown are those that this release left, and nobody changed one since."""
    outcome = release.outcome
    disk, _, seal_now = read_digests(layout)
    return outcome is not None and (outcome.seal == seal_now if outcome.seal else outcome.disk == disk)


def _record_seal(layout: Layout, release: Release) -> Outcome | None:
    """Record what the kernel says of the files once nothing more is linked to them; None where that fails."""
    outcome = release.outcome
    if outcome is None:
        return None
    disk, _, seal_now = read_digests(layout)
    loads = {name: {**load, "seal": seal(layout.models_dir / name)} for name, load in outcome.loads.items()}
    sealed = replace(outcome, disk=disk, seal=seal_now, loads=loads)
    try:
        release.save_outcome(sealed)
    except OSError:
        return None
    return sealed


def read_digests(layout: Layout) -> list[str]:
    """Read what DIGESTS says of this host, in the words that a survey uses too: disk, env and seal."""
    done = subprocess.run(["sh", "-c", DIGESTS], cwd=layout.root, capture_output=True, text=True, check=True)
    return done.stdout.split()
