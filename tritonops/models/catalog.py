"""models.toml: which model versions should exist, and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class HubSource:
    """A repository on the Hugging Face Hub, at a branch, a tag or a commit."""

    repo_id: str
    revision: str = "main"


@dataclass(frozen=True)
class UrlSource:
    """One file at a URL, with the SHA-256 (64 hex digits) that it must have."""

    url: str
    sha256: str


@dataclass(frozen=True)
class PathSource:
    """A file or folder on this machine; absolute, resolved against models.toml's folder."""

    path: Path


Source = HubSource | UrlSource | PathSource


@dataclass(frozen=True)
class ModelVersion:
    """One entry of models.toml: one version of one model."""

    name: str
    version: int
    source: Source
    kind: Literal["single_file", "directory"]
    """models.toml's `type`."""
    path: str
    """Within the source: the file (`model_path`) or the folder (`subfolder`), as a POSIX path; "" is the root."""
    local_name: str
    """What stands below `<model>/<version>/`: a file, or a folder where `kind` is "directory"."""
    line: int
    """Where the entry begins in models.toml, counted from 1."""

    @property
    def label(self) -> str:
        """The version as people write it: "clip/1"."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True)
class Catalog:
    """All entries, in the order of models.toml."""

    path: Path
    versions: tuple[ModelVersion, ...]
