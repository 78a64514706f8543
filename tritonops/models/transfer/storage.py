"""The engine's only access to where files are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Storage(Protocol):
    """A folder of partial files and of verified ones. Both methods raise OSError."""

    def partial(self, key: str) -> Path:
        """Where a file is put together."""

    def keep(self, file: Path, sha256: str) -> Path:
        """Move a verified file to where it belongs."""


class StorageError(Exception):
    """A disk that is full or broken."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error
