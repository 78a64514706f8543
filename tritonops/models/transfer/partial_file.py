"""A file that arrives in pieces, in any order, and survives the process that fetches it."""

from __future__ import annotations

import errno
import os
import struct
import threading
from functools import cached_property
from pathlib import Path

_RECORD = struct.Struct("<QQ")
SMALL = 1 << 16
"""A file of at most so many bytes is begun anew by each run: a journal would cost more than it saves."""
Interval = tuple[int, int]
"""From this byte to before that one."""


class Partial:
    """The file at its full size, and beside it a journal of the intervals that were written.

    A record follows its bytes, so whatever the journal names has been handed to the kernel, and outlives kill -9.
    After a power cut it may name too much; the hash of the whole file is what decides.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path, self._size, self._is_small = path, size, size <= SMALL
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | (os.O_TRUNC if self._is_small else 0), 0o644)
        self._opening = threading.Lock()
        self._journal: int | None = None
        """Opened by the first piece; a file that comes in one needs none."""
        if not self._is_small and os.fstat(self._file).st_size != size:
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
        """Forget what has arrived, and reserve the space. Raises OSError where there is none."""
        if self._is_small:
            return
        self._close_journal()
        self._journal_path.unlink(missing_ok=True)
        os.ftruncate(self._file, self._size)
        _reserve(self._file, self._size)

    def arrived(self) -> list[Interval]:
        """List what has arrived, in order, joined where intervals touch or overlap."""
        if self._is_small or not self._journal_path.exists():
            return []
        data = self._journal_path.read_bytes()
        whole = len(data) - len(data) % _RECORD.size  # a full disk may have cut the last record short
        return joined([(start, min(end, self._size)) for start, end in _RECORD.iter_unpack(data[:whole])])

    def write(self, offset: int, data: memoryview) -> None:
        """Write bytes, and note that they were written."""
        start, end = offset, offset + len(data)
        while data:
            written = os.pwrite(self._file, data, offset)
            offset, data = offset + written, data[written:]
        if end - start < self._size and not self._is_small:
            self._record(start, end)

    def _record(self, start: int, end: int) -> None:
        with self._opening:
            if self._journal is None:
                self._journal = os.open(self._journal_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                length = os.fstat(self._journal).st_size
                os.ftruncate(self._journal, length - length % _RECORD.size)
        os.write(self._journal, _RECORD.pack(start, end))

    def read(self, offset: int, buffer: memoryview) -> int:
        """Read into a buffer what was written at an offset."""
        return os.preadv(self._file, [buffer], offset)

    def close(self) -> None:
        """Let go of the files; they stay for the next run."""
        os.close(self._file)
        self._close_journal()

    def _close_journal(self) -> None:
        if self._journal is not None:
            os.close(self._journal)
            self._journal = None

    def finish(self) -> Path:
        """Close the complete file and drop its journal; returns where the file is."""
        self.close()
        if not self._is_small:
            self._journal_path.unlink(missing_ok=True)
        return self.path


def joined(intervals: list[Interval]) -> list[Interval]:
    """Sort intervals, and join those that touch or overlap."""
    result: list[Interval] = []
    for start, end in sorted(intervals):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        elif start < end:
            result.append((start, end))
    return result


def gaps(intervals: list[Interval], size: int) -> list[Interval]:
    """List what sorted, joined intervals leave of a file."""
    edges = [0, *(edge for interval in intervals for edge in interval), size]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]


def _reserve(descriptor: int, size: int) -> None:
    if size == 0 or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as exc:
        if exc.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a filesystem that cannot
            raise
