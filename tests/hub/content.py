"""What the test Hub has: repositories at commits, files as git and LFS know them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Access = Literal["public", "private", "gated"]


@dataclass(frozen=True)
class HubFile:
    """A file of a repository; LFS files are redirected to the CDN, the others come from the Hub itself."""

    path: str
    content: Path
    size: int
    sha256: str
    git_oid: str
    lfs: bool

    @classmethod
    def of(cls, path: str, content: Path, *, lfs: bool) -> HubFile:
        size = content.stat().st_size
        sha256, git_oid = hashlib.sha256(), hashlib.sha1(f"blob {size}\0".encode())
        with content.open("rb") as file:
            while chunk := file.read(1 << 20):
                sha256.update(chunk)
                git_oid.update(chunk)
        return cls(path, content, size, sha256.hexdigest(), git_oid.hexdigest(), lfs)

    def sibling(self) -> dict[str, object]:
        """Word it as /api/models/{repo}/revision/{revision}?blobs=true does."""
        entry: dict[str, object] = {"rfilename": self.path, "size": self.size, "blobId": self.git_oid}
        return entry | ({"lfs": {"sha256": self.sha256, "size": self.size, "pointerSize": 134}} if self.lfs else {})

    def tree_entry(self) -> dict[str, object]:
        """Word it as /api/models/{repo}/tree/{revision} does."""
        entry: dict[str, object] = {"type": "file", "oid": self.git_oid, "size": self.size, "path": self.path}
        return entry | ({"lfs": {"oid": self.sha256, "size": self.size, "pointerSize": 134}} if self.lfs else {})


@dataclass
class HubRepo:
    """A model repository: commits, and branches that point at them."""

    repo_id: str
    access: Access = "public"
    commits: dict[str, list[HubFile]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit_of(self, revision: str) -> str | None:
        commit = self.branches.get(revision, revision)
        return commit if commit in self.commits else None
