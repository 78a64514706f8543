"""Text files that tritonops wrote, with the digest of what it wrote: one that was edited since is somebody else's."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from tritonops.documents import MAX_RECORD, parse_json
from tritonops.errors import InputError
from tritonops.files import read_text, write_text

_MOST_STALE = 1000
"""Lines of earlier digests beyond which the file is written again."""


class WrittenFiles:
    """Digests by key, a line each, of which the last counts. Only one process changes the file at a time.

    A line more is all that a write costs: thousands of configs are written in one command.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digests: dict[str, str] = {}
        self._lines = 0
        self._read: tuple[int, int] = (0, 0)
        """The file's inode, and how many of its bytes were read."""

    def is_current(self, key: str, file: Path) -> bool:
        """Whether a file is just what was last written under this key; a symbolic link is not."""
        try:
            content = b"" if file.is_symlink() else file.read_bytes()
        except OSError:
            return False
        return not file.is_symlink() and self._load().get(key) == hashlib.sha256(content).hexdigest()

    def add(self, key: str, text: str) -> None:
        """Note what was written. Raises OSError."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        if self._load().get(key) == digest:
            return
        self._digests[key] = digest
        if self._read == (0, 0) or self._lines > len(self._digests) + _MOST_STALE:
            self._write_all()
            return
        with self._path.open("a", encoding="utf-8", newline="") as file:
            file.write(_line(key, digest))

    def _write_all(self) -> None:
        text = "".join(_line(key, digest) for key, digest in self._digests.items())
        write_text(self._path, text, sync=False, only_writer=True)

    def _load(self) -> dict[str, str]:
        """Read what was added since; everything, where the file is another one."""
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                inode, position = self._read
                if inode != found.st_ino or found.st_size < position:
                    self._digests, self._lines, position = {}, 0, 0
                file.seek(position)
                data = file.read(found.st_size - position)
        except OSError:
            self._digests, self._lines, self._read = {}, 0, (0, 0)
            return self._digests
        whole = data[: data.rfind(b"\n") + 1]
        if not self._take(whole):
            self._digests, self._lines, self._read = _of_earlier_versions(self._path), 0, (0, 0)
        elif whole == data:
            self._read = (found.st_ino, found.st_size)
        else:  # a line that was cut short is written again with the rest
            self._read = (0, 0)
        return self._digests

    def _take(self, lines: bytes) -> bool:
        """Add the digests of lines; false where one is none."""
        for line in lines.splitlines():
            try:
                key, digest = json.loads(line)
            except (ValueError, TypeError, RecursionError):
                return False
            self._digests[str(key)] = str(digest)
            self._lines += 1
        return True


def _line(key: str, digest: str) -> str:
    return f"{json.dumps([key, digest])}\n"


def _of_earlier_versions(path: Path) -> dict[str, str]:
    """Read one JSON object, as earlier versions wrote it."""
    try:
        digests = parse_json(read_text(path, MAX_RECORD), path)
    except InputError:
        return {}
    return {str(key): str(digest) for key, digest in digests.items()} if isinstance(digests, dict) else {}
