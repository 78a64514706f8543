"""SHA-256 digests of files, remembered between runs: what did not change is not read again."""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from tritonops.documents import parse_json
from tritonops.errors import InputError
from tritonops.files import read_text, write_json

Identity = tuple[int, int, int, int, int]
"""Device, inode, size, mtime_ns and ctime_ns: a change of a file's bytes changes one of them."""

SETTLED_NS = 2_000_000_000
"""Two changes within one tick of a filesystem's clock have the same ctime: a younger one proves nothing later."""
MAX_ENTRIES = 20_000
_MAX_SIZE = 200 * MAX_ENTRIES


class DigestCache:
    """Digests by identity, in one JSON file; links to one file share an entry.

    With `trust_saved` false, what earlier runs wrote down is not used. Within a run each file is read once. Any thread
    may call `known` and `sha256`.
    """

    def __init__(self, path: Path, *, trust_saved: bool = True) -> None:
        self._path, self._trust_saved = path, trust_saved
        self._read: dict[Identity, str] = {}
        self._settled: dict[Identity, str] = {}

    def known(self, path: Path) -> str | None:
        """Give the digest of a file that was read before and did not change since; None without one."""
        try:
            return self.of(path.stat())
        except OSError:
            return None

    def of(self, found: os.stat_result) -> str | None:
        """Give the digest of the file that looks like this; None where it is not known."""
        return self._known(_identity(found))

    def matches(self, path: Path, size: int, sha256: str) -> bool:
        """Whether this is a file with these bytes, which are read where their digest is not known."""
        try:
            found = path.stat()
            return found.st_size == size and (self._known(_identity(found)) or self.sha256(path)) == sha256
        except OSError:
            return False

    def is_unread(self, path: Path, size: int) -> bool:
        """Whether this is a file of that size whose digest is not known."""
        try:
            found = path.stat()
            return found.st_size == size and stat.S_ISREG(found.st_mode) and not self._known(_identity(found))
        except OSError:
            return False

    def sha256(self, path: Path) -> str:
        """Give the digest of a regular file, read where it is not known. Raises OSError."""
        import hashlib

        if digest := self.known(path):
            return digest
        started = time.time_ns()
        before = path.stat()
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        with path.open("rb", buffering=0) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            identity = _identity(os.fstat(file.fileno()))
        if identity == _identity(before):
            self._read[identity] = digest
            if started - before.st_ctime_ns >= SETTLED_NS:
                self._settled[identity] = digest
        return digest

    def note(self, path: Path, digest: str) -> None:
        """Take the digest of a file whose bytes this run has hashed itself, for the rest of the run."""
        self._read[_identity(path.stat())] = digest

    def _known(self, identity: Identity) -> str | None:
        return self._read.get(identity) or (self._saved.get(identity) if self._trust_saved else None)

    def save(self) -> None:
        """Write down what was read in this run. A cache that cannot be written only costs time later."""
        if not self._settled:
            return
        latest = {identity[:2]: (identity, digest) for identity, digest in {**self._saved, **self._settled}.items()}
        rows = [[*identity, digest] for identity, digest in list(latest.values())[-MAX_ENTRIES:]]
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, rows, sync=False)
        self._settled = {}

    @cached_property
    def _saved(self) -> dict[Identity, str]:
        try:
            rows = parse_json(read_text(self._path, _MAX_SIZE), self._path)
            return {(device, inode, size, mtime, ctime): digest for device, inode, size, mtime, ctime, digest in rows}
        except (InputError, ValueError, TypeError):
            return {}  # written by nobody, or by something else


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
