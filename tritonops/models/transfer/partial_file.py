"""A file that arrives in ranges, in any order, and survives the process that fetches it."""

from __future__ import annotations

import errno
import os
import struct
import threading
from functools import cached_property
from pathlib import Path

from tritonops.models.transfer.intervals import Interval, joined
from tritonops.models.transfer.tuning import DEFAULT_TUNING

_RECORD = struct.Struct("<QQ")


class PartialFile:
    """The file at its full size, and a journal of the intervals that were written.

    A record follows its bytes, so whatever the journal names has been handed to the kernel, and outlives kill -9.
    After a power cut it may name too much; the hash of the whole file is what decides.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path, self._size = path, size
        self._is_journaled = size > DEFAULT_TUNING.max_unjournaled
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | (0 if self._is_journaled else os.O_TRUNC), 0o644)
        self._opening = threading.Lock()
        self._journal: int | None = None
        """Opened by the first range; a file that arrives as a whole needs none."""
        if self._is_journaled and os.fstat(self._file).st_size != size:
            self._begin()

    @cached_property
    def _journal_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.journal")

    def _begin(self) -> None:
        try:
            self.reset()
        except OSError:
            self.close()
            self.path.unlink()
            raise

    def reset(self) -> None:
        """Discard what has arrived, and reserve the space. Raises OSError where there is none."""
        if not self._is_journaled:
            return
        self._close_journal()
        self._journal_path.unlink(missing_ok=True)
        os.ftruncate(self._file, self._size)
        _reserve(self._file, self._size)

    def arrived(self) -> list[Interval]:
        """List what has arrived, in order, joined where intervals touch or overlap."""
        if not self._is_journaled or not self._journal_path.exists():
            return []
        data = self._journal_path.read_bytes()
        whole = len(data) - len(data) % _RECORD.size  # a full disk may have cut the last record short
        return joined([(start, min(end, self._size)) for start, end in _RECORD.iter_unpack(data[:whole])])

    def write(self, offset: int, data: memoryview) -> None:
        """Write bytes, and record that they were written."""
        start, end = offset, offset + len(data)
        while data:
            written = os.pwrite(self._file, data, offset)
            offset, data = offset + written, data[written:]
        if self._is_journaled and end - start < self._size:
            self._record(start, end)

    def _record(self, start: int, end: int) -> None:
        if self._journal is None:
            self._open_journal()
        assert self._journal is not None
        os.write(self._journal, _RECORD.pack(start, end))

    def _open_journal(self) -> None:
        with self._opening:
            if self._journal is None:
                journal = os.open(self._journal_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                length = os.fstat(journal).st_size
                os.ftruncate(journal, length - length % _RECORD.size)
                self._journal = journal

    def read(self, offset: int, buffer: memoryview) -> int:
        """Read what was written at an offset into a buffer."""
        return os.preadv(self._file, [buffer], offset)

    def close(self) -> None:
        """Close the files; they stay for the next run."""
        os.close(self._file)
        self._close_journal()

    def _close_journal(self) -> None:
        if self._journal is not None:
            os.close(self._journal)
            self._journal = None

    def finish(self) -> Path:
        """Close the complete file and delete its journal; returns the file's path."""
        self.close()
        if self._is_journaled:
            self._journal_path.unlink(missing_ok=True)
        return self.path


def _reserve(descriptor: int, size: int) -> None:
    if size == 0 or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as exc:
        if exc.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a filesystem that cannot
            raise
