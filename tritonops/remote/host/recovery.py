"""Losses that a host recovers from: a full disk, and a missing folder of the current release."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from tritonops.errors import TritonOpsError
from tritonops.files import write_json
from tritonops.models.disk.hard_links import link_or_copy
from tritonops.remote.host.mirror import mirror
from tritonops.remote.layout.callbacks import OnStep
from tritonops.remote.layout.inv_wrapper import inv_wrapper
from tritonops.remote.layout.paths import Layout, Release
from tritonops.remote.layout.records import ActivationRecord

RESERVE = 8_000_000
"""Bytes reserved for a rollback: links, records, and the backends of an embedded Triton that restarts."""


def allocate_reserve(layout: Layout) -> None:
    """Reserve space for a rollback, in case the disk is full by then."""
    with suppress(OSError), layout.reserve.open("ab") as file:
        os.posix_fallocate(file.fileno(), 0, RESERVE)


def make_room(layout: Layout, *, on_step: OnStep) -> None:
    """Use the reserve where the disk is full, and report it."""
    free = shutil.disk_usage(layout.root).free
    if free > RESERVE:
        allocate_reserve(layout)
        return
    layout.reserve.unlink(missing_ok=True)
    on_step(
        f"the disk of {layout.root} is full ({free >> 10} KiB free): the reserved {RESERVE >> 20} MiB are used. "
        "To free more: inv remote.run --host HOST -- models.prune --yes"
    )


def is_complete(release: Release) -> bool:
    """Whether a release can run its tasks, and has its record."""
    try:
        return (release.project / "inv").is_file() and release.inv.is_file() and bool(release.record)
    except TritonOpsError:
        return False


def rebuild_release(layout: Layout, gone: Release, like: Release, *, on_step: OnStep) -> None:
    """Rebuild the deleted folder of the current release, so that a rollback to it is possible.

    Its models are in shared/triton, and its env elsewhere; the project's files are those of the release `like`.
    """
    on_step(f"the folder of {gone.id}, which serves, is missing or incomplete: rebuilt with the files of {like.id}")
    partial = gone.path.with_name(f"{gone.id}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(like.project, partial / "project", copy_function=link_or_copy, symlinks=True)
    (partial / "project" / ".env").unlink(missing_ok=True)
    (partial / "project" / ".env").symlink_to(Path("..", "..", "..", "envs", gone.id))
    record = replace(like.record, id=gone.id, subject="rebuilt: its folder was missing", fingerprint="", digest="")
    write_json(partial / "release.json", asdict(record))
    (partial / "inv").write_text(inv_wrapper(str(layout.root), record), encoding="utf-8")
    (partial / "inv").chmod(0o755)
    Release(partial).save_activation(ActivationRecord("done", record.at))
    mirror(layout.models_dir, Release(partial).models_dir)
    shutil.rmtree(gone.path, ignore_errors=True)
    partial.rename(gone.path)
