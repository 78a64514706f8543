"""What a host may have lost, and does without: the space on its disk, the folder of the release that serves."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from tritonops.errors import TritonOpsError
from tritonops.files import link_or_copy, write_json
from tritonops.remote.host.mirror import mirror
from tritonops.remote.layout.inv_wrapper import inv_wrapper
from tritonops.remote.layout.paths import Layout, OnStep, Release
from tritonops.remote.layout.records import ActivationRecord

RESERVE = 8_000_000
"""Bytes that are set aside for a rollback: links, records, and the backends of an embedded Triton that restarts."""


def allocate_reserve(layout: Layout) -> None:
    """Keep space for a rollback on a disk that is full by then; where there is none now, do without."""
    with suppress(OSError), layout.reserve.open("ab") as file:
        os.posix_fallocate(file.fileno(), 0, RESERVE)


def make_room(layout: Layout, *, on_step: OnStep) -> None:
    """Give up the reserve where the disk is full, and say so."""
    free = shutil.disk_usage(layout.root).free
    if free > RESERVE:
        allocate_reserve(layout)
        return
    layout.reserve.unlink(missing_ok=True)
    on_step(
        f"the disk of {layout.root} is full ({free >> 10} KiB free): the {RESERVE >> 20} MiB kept for this are used. "
        "To free more: inv remote.run --host HOST -- models.prune --yes"
    )


def is_complete(release: Release) -> bool:
    """Whether a release can run its tasks, and says what it is."""
    try:
        return (release.project / "inv").is_file() and release.inv.is_file() and bool(release.record)
    except TritonOpsError:
        return False


def rebuild_release(layout: Layout, gone: Release, like: Release, *, on_step: OnStep) -> None:
    """Make the folder of the release that serves again, which somebody deleted, so that one can go back to it.

    What it serves is in shared/triton, and its env elsewhere; the project's files are those of the release `like`.
    """
    on_step(
        f"the folder of {gone.id}, which serves, is gone or not whole: made again with the project's files of {like.id}"
    )
    partial = gone.path.with_name(f"{gone.id}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(like.project, partial / "project", copy_function=link_or_copy, symlinks=True)
    (partial / "project" / ".env").unlink(missing_ok=True)
    (partial / "project" / ".env").symlink_to(Path("..", "..", "..", "envs", gone.id))
    record = replace(like.record, id=gone.id, subject="made again: its folder was gone", fingerprint="", digest="")
    write_json(partial / "release.json", asdict(record))
    (partial / "inv").write_text(inv_wrapper(str(layout.root), record), encoding="utf-8")
    (partial / "inv").chmod(0o755)
    Release(partial).save_activation(ActivationRecord("done", record.at))
    mirror(layout.models_dir, Release(partial).models_dir)
    shutil.rmtree(gone.path, ignore_errors=True)
    partial.rename(gone.path)
