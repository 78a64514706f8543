"""Hashing of installed and stored files in parallel, before they are compared one by one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tritonops.models.disk.store import Store
from tritonops.models.sources.listing import Listing
from tritonops.models.transfer.progress import Progress
from tritonops.models.transfer.remote_file import RemoteFile
from tritonops.models.transfer.worker_pool import in_parallel

_LONG_READ = 1_000_000_000
"""Bytes that take so long to read that it is worth a message."""


def hash_ahead(store: Store, versions: Iterable[tuple[Listing, Path]], progress: Progress) -> None:
    """Hash the changed files of versions, each with its folder, in parallel; what they hash to is cached."""
    unread = {
        path: file.size
        for listing, folder in versions
        for file, path in _candidates(store, listing, folder)
        if store.digests.is_unread(path, file.size)
    }
    size = sum(unread.values())
    if size > _LONG_READ:
        progress.reading(len(unread), size)
    cores = os.cpu_count() or 1
    in_parallel(lambda each: store.digests.matches(*each, ""), [*unread.items()], threads=cores, first=cores)


def _candidates(store: Store, listing: Listing, folder: Path) -> Iterable[tuple[RemoteFile, Path]]:
    """List what will be compared: the installed file, or the stored one that would be installed."""
    is_installed = folder.is_dir()
    for file in listing.files:
        installed = folder / file.path if is_installed else None
        if installed and store.digests.known(installed):
            continue
        if installed and (installed.exists() or not file.sha256):
            yield file, installed
        elif file.sha256:
            yield file, store.blob(file.sha256)
