"""The bytes of one file on disk, and their hashes while they arrive."""

from __future__ import annotations

import hashlib

from tritonops.models.transfer.intervals import Interval
from tritonops.models.transfer.partial_file import PartialFile
from tritonops.models.transfer.remote_file import RemoteFile
from tritonops.models.transfer.storage import Storage


class FileContent:
    """One file in its storage. Ranges are written from several threads; the one that has claimed them hashes bytes."""

    def __init__(self, file: RemoteFile, storage: Storage) -> None:
        self._file, self._storage = file, storage
        self._partial: PartialFile | None = None
        self._hashes = self._new_hashes()

    def open(self) -> list[Interval]:
        """Open the file, and list what an earlier run left of it. Raises OSError where there is no space."""
        self._partial = PartialFile(self._storage.partial(self._file.key), self._file.size)
        return self._partial.arrived()

    def write(self, offset: int, data: memoryview) -> None:
        """Write bytes, and record that they were written."""
        assert self._partial is not None
        self._partial.write(offset, data)

    def hash(self, data: memoryview) -> None:
        """Hash the next bytes."""
        for each in self._hashes.values():
            each.update(data)

    def hash_interval(self, interval: Interval, buffer: memoryview) -> None:
        """Hash the next bytes as they were written; most of them are still in the page cache."""
        assert self._partial is not None
        position, end = interval
        while position < end:
            count = self._partial.read(position, buffer[: end - position])
            self.hash(buffer[:count])
            position += count

    def store(self) -> str | None:
        """Store the complete file; returns its SHA-256, or None where it has a wrong hash."""
        assert self._partial is not None
        sha256, file = self._hashes["sha256"].hexdigest(), self._file
        if sha256 != file.sha256 and not (file.sha256 is None and self._hashes["git"].hexdigest() == file.git_oid):
            return None
        path, self._partial = self._partial.finish(), None
        self._storage.keep(path, sha256)
        return sha256

    def reset(self) -> None:
        """Discard what has arrived. Raises OSError."""
        assert self._partial is not None
        self._partial.reset()
        self._hashes = self._new_hashes()

    def close(self) -> None:
        """Close the file; what has arrived stays for the next run."""
        if self._partial is not None:
            self._partial.close()
            self._partial = None

    def _new_hashes(self) -> dict[str, hashlib._Hash]:
        hashes = {"sha256": hashlib.sha256()}
        if self._file.sha256 is None:
            # git's hash: not for secrecy, but it is the only one that the Hub has of a small file.
            header = f"blob {self._file.size}\0".encode()
            hashes["git"] = hashlib.sha1(header, usedforsecurity=False)
        return hashes
