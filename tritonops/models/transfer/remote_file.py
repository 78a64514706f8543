"""A file that a source has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tritonops.models.http.address_with_token import Address


@dataclass(frozen=True)
class RemoteFile:
    """One file of a source: where its bytes are, and what is known of them."""

    label: str
    """Whose file it is ("clip/1"), for progress and errors."""
    path: str
    """Below `<model>/<version>/`, as a POSIX path."""
    size: int
    origin: Address | Path
    sha256: str | None
    git_oid: str | None = None
    """What the Hub lists instead of a SHA-256 for a small file: git's hash of it."""

    @property
    def key(self) -> str:
        """The same for the same bytes, whichever models they belong to."""
        return self.sha256 or (f"git-{self.git_oid}" if self.git_oid else f"path-{self.origin}")

    @property
    def name(self) -> str:
        """Version and path, for messages."""
        return f"{self.label}/{self.path}"
