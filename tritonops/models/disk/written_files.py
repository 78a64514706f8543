"""Text files that tritonops wrote, with the digest of what it wrote: one that was edited since is somebody else's."""

from __future__ import annotations

from pathlib import Path

from tritonops.documents import MAX_RECORD, parse_json
from tritonops.errors import InputError
from tritonops.files import read_text, write_json


class WrittenFiles:
    """Digests by key, in one JSON file. Only one process changes it at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_current(self, key: str, file: Path) -> bool:
        """Whether a file is just what was last written under this key; a symbolic link is not."""
        import hashlib

        try:
            content = b"" if file.is_symlink() else file.read_bytes()
        except OSError:
            return False
        return not file.is_symlink() and self._load().get(key) == hashlib.sha256(content).hexdigest()

    def add(self, key: str, text: str) -> None:
        """Note what was written. Raises OSError."""
        import hashlib

        before, digest = self._load(), hashlib.sha256(text.encode()).hexdigest()
        if before.get(key) != digest:
            write_json(self._path, {**before, key: digest}, indent=1, sync=False, only_writer=True)

    def _load(self) -> dict[str, str]:
        try:
            digests = parse_json(read_text(self._path, MAX_RECORD), self._path)
        except InputError:
            return {}
        return digests if isinstance(digests, dict) else {}
