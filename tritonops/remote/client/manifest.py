"""The content of a deploy: each tracked file with the SHA-256 of its bytes in the working tree.

The text of a manifest is the output of listing.sh on a host for a folder with just these files: equal texts mean that
every file, executable bit and link is the same, and that there are no others.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tritonops.errors import InputError
from tritonops.git import TrackedFile
from tritonops.models.disk.digest_cache import DigestCache
from tritonops.remote.client.lfs_and_conflicts import refuse_unfinished

LARGE = 1 << 20
"""Files from this size in bytes are sent by digest, if the host lacks them; the others as one tar."""


@dataclass(frozen=True)
class ManifestEntry:
    """A file or a symbolic link of a manifest."""

    path: str
    sha256: str
    size: int
    is_executable: bool = False
    target: str | None = None
    """The target of a symbolic link, which has no digest."""

    @property
    def is_large(self) -> bool:
        """Whether it is sent by its digest."""
        return self.size >= LARGE


@dataclass(frozen=True)
class Manifest:
    """The files of a release."""

    project: Path
    entries: Sequence[ManifestEntry]

    @cached_property
    def text(self) -> bytes:
        """The output of listing.sh for it."""
        files = sorted(self._files, key=lambda entry: os.fsencode(entry.path))
        lines = [os.fsencode(f"{entry.sha256}  ./{entry.path}") for entry in files]
        lines += [os.fsencode(f"x ./{entry.path}") for entry in files if entry.is_executable]
        lines += sorted(os.fsencode(f"l ./{entry.path} -> {entry.target}") for entry in self._links)
        return b"".join(line + b"\0" for line in lines)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the text: checkouts with the same digest are the same, byte for byte."""
        return hashlib.sha256(self.text).hexdigest()

    @cached_property
    def paths(self) -> frozenset[str]:
        """Every path."""
        return frozenset(entry.path for entry in self.entries)

    @property
    def large(self) -> list[ManifestEntry]:
        """The files that are sent by their digests."""
        return [entry for entry in self.entries if entry.is_large]

    @property
    def _files(self) -> list[ManifestEntry]:
        return [entry for entry in self.entries if entry.target is None]

    @property
    def _links(self) -> list[ManifestEntry]:
        return [entry for entry in self.entries if entry.target is not None]

    def pack(self) -> bytes:
        """Make the tar of the small files, below `project/`, and of the manifest itself."""
        import io
        import tarfile

        def add(name: str, content: bytes, mode: int, mtime: int) -> None:
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), mode, mtime
            tar.addfile(member, io.BytesIO(content))

        buffer = io.BytesIO()
        options = {"format": tarfile.GNU_FORMAT, "encoding": sys.getfilesystemencoding(), "errors": "surrogateescape"}
        with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6, **options) as tar:  # type: ignore[call-overload]
            add("manifest", self.text, 0o644, 0)
            for entry in self._files:
                if not entry.is_large:
                    content = _content(f"{self.project}/{entry.path}")
                    add(f"project/{entry.path}", content, 0o755 if entry.is_executable else 0o644, _mtime(entry.sha256))
            for entry in self._links:
                link = tarfile.TarInfo(f"project/{entry.path}")
                link.type, link.linkname = tarfile.SYMTYPE, entry.target or ""
                tar.addfile(link)
        return buffer.getvalue()


def read_manifest(project: Path, tracked: Iterable[TrackedFile], digests: DigestCache) -> Manifest:
    """Hash the tracked files that exist.

    Raises InputError for a file that cannot be read, is a Git LFS pointer, or contains conflict markers.
    """
    links = _LinkedFolders(project)
    files = [_OnDisk(file, str(project)) for file in tracked if not links.lead_to(file.path)]
    _hash_large([Path(file.path) for file in files if file.is_large], digests)
    return Manifest(project, [entry for file in files if (entry := _entry(file, digests))])


class _OnDisk:
    """A tracked file, asked once for what it is. Without a Path: there may be thousands."""

    def __init__(self, tracked: TrackedFile, project: str) -> None:
        self.tracked, self.path = tracked, f"{project}/{tracked.path}"
        self.mode = self.size = 0  # no file
        with suppress(FileNotFoundError, NotADirectoryError):
            found = os.lstat(self.path)
            self.mode, self.size = found.st_mode, found.st_size

    @property
    def is_large(self) -> bool:
        return stat.S_ISREG(self.mode) and self.size >= LARGE


def _hash_large(paths: Sequence[Path], digests: DigestCache) -> None:
    """Hash in parallel; a file that is unchanged since an earlier run is not read."""
    unread = [path for path in paths if not digests.known(path)]
    if unread:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda path: _hashed(path, digests), unread))


def _entry(file: _OnDisk, digests: DigestCache) -> ManifestEntry | None:
    name, path = file.tracked.path, file.path
    if stat.S_ISLNK(file.mode):
        return ManifestEntry(name, "", 0, target=os.readlink(path))  # noqa: PTH115 (a Path would normalize it)
    if not stat.S_ISREG(file.mode):
        return None
    is_executable = file.tracked.is_executable or bool(file.mode & stat.S_IXUSR)
    if file.is_large:
        return ManifestEntry(name, _hashed(Path(path), digests), file.size, is_executable)
    content = _content(path)
    refuse_unfinished(path, content)
    return ManifestEntry(name, hashlib.sha256(content).hexdigest(), len(content), is_executable)


def _mtime(sha256: str) -> int:
    """Derive a time between 2001 and 2010 from the content of a file.

    Python takes bytecode whose source had the same size and mtime: complete_release.sh links that of equal sources.
    """
    return 1_000_000_000 + int(sha256[:7], 16)


def _content(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except OSError as exc:
        raise InputError(f"cannot read {path}: {exc.strerror}", hint="git tracks it, so a deploy sends it.") from exc


def _hashed(path: Path, digests: DigestCache) -> str:
    try:
        return digests.sha256(path)
    except OSError as exc:
        raise InputError(f"cannot read {path}: {exc.strerror}", hint="git tracks it, so a deploy sends it.") from exc


class _LinkedFolders:
    """Folders replaced by a symbolic link, whose targets are not part of the checkout."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._known: dict[str, bool] = {"": False}

    def lead_to(self, path: str) -> bool:
        """Whether a folder above this path is a link."""
        folder = path.rpartition("/")[0]
        if folder not in self._known:
            self._known[folder] = self.lead_to(folder) or (self._project / folder).is_symlink()
        return self._known[folder]


def parse_listing(text: bytes) -> Mapping[str, str]:
    """Read a listing or a manifest: the content of each path."""
    found: dict[str, str] = {}
    for record in os.fsdecode(text).split("\0"):
        if record.startswith("x ./"):
            found[record[4:]] = f"{found.get(record[4:], '')} x"
        elif record.startswith("l ./"):
            path, _, target = record[4:].partition(" -> ")
            found[path] = f"-> {target}"
        elif record:
            digest, _, path = record.partition("  ./")
            found[path] = digest
    return found
