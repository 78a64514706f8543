"""SHA-256 of small files, of which the Hub lists only git's hash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tritonops.errors import RepositoryError
from tritonops.models.disk.repository import Repository
from tritonops.models.sources.listing import Listing
from tritonops.models.transfer.remote_file import RemoteFile


def match_small_files(listing: Listing, repository: Repository) -> Listing:
    """Fill in the SHA-256 of small files whose bytes are installed."""
    if all(file.sha256 for file in listing.files):
        return listing
    try:
        folder = repository.version_dir(listing.version.name, listing.version.version)
    except RepositoryError:
        return listing
    if not folder.is_dir():
        return listing
    files = tuple(_matched(file, folder / file.path) if file.sha256 is None else file for file in listing.files)
    return replace(listing, files=files)


def _matched(file: RemoteFile, installed: Path) -> RemoteFile:
    import hashlib

    try:
        if installed.stat().st_size != file.size or not installed.is_file():
            return file
        content = installed.read_bytes()
    except OSError:
        return file
    header = f"blob {file.size}\0".encode()
    if hashlib.sha1(header + content, usedforsecurity=False).hexdigest() != file.git_oid:
        return file
    return replace(file, sha256=hashlib.sha256(content).hexdigest())
