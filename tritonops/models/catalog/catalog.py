"""What models.toml declares: models, their versions, and where each comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from tritonops.errors import UnknownModelError
from tritonops.models.catalog.lines import Entry


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


ModelSource = HubSource | UrlSource | PathSource
Kind = Literal["single_file", "directory"]


@dataclass(frozen=True)
class ModelVersion:
    """One entry of models.toml: one version of one model."""

    name: str
    version: int
    source: ModelSource
    kind: Kind
    """models.toml's `type`."""
    path: str
    """Within the source: the file (`model_path`) or the folder (`subfolder`), as a POSIX path; "" is the root."""
    local_name: str
    """What stands below `<model>/<version>/`: a file, or a folder where `kind` is "directory"."""
    place: Entry
    """Where it stands in models.toml."""
    hosts: tuple[str, ...] = ()
    """The hosts, targets and groups of hosts.toml and kubernetes.toml that serve it; all where it is empty."""
    depends_on: tuple[str, ...] = ()
    """The models that it calls by itself (BLS), which no config shows."""

    @property
    def label(self) -> str:
        """The version as people write it: "clip/1"."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True)
class Catalog:
    """All entries, in the order of models.toml."""

    path: Path
    versions: tuple[ModelVersion, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Each model once, in the order of models.toml."""
        return tuple(self._by_name)

    def versions_of(self, name: str) -> tuple[ModelVersion, ...]:
        """List the entries of one model; none for a name that is not there."""
        return tuple(self._by_name.get(name, ()))

    @cached_property
    def _by_name(self) -> dict[str, list[ModelVersion]]:
        found: dict[str, list[ModelVersion]] = {}
        for version in self.versions:
            found.setdefault(version.name, []).append(version)
        return found

    @cached_property
    def callers(self) -> dict[str, tuple[str, ...]]:
        """For each model that another one `depends_on`: those others."""
        called = {name for version in self.versions for name in version.depends_on}
        return {
            name: tuple(dict.fromkeys(version.name for version in self.versions if name in version.depends_on))
            for name in sorted(called)
        }

    def select(self, include: Sequence[str] = ()) -> tuple[ModelVersion, ...]:
        """List the entries of the models in `include`, or all of them where it is empty.

        Raises UnknownModelError for a name that models.toml does not have.
        """
        for name in include:
            if name not in self._by_name:
                raise UnknownModelError(name, self.names, where=str(self.path))
        chosen = set(include)
        return tuple(version for version in self.versions if not chosen or version.name in chosen)
