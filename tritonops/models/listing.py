"""The catalogue against the disk: what `inv models.list` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tritonops.models.catalog import Catalog, HubSource, ModelVersion, UrlSource
from tritonops.models.config import VARIANTS, keep_policy, source_path, wanted_config
from tritonops.models.pbtxt import read_text
from tritonops.models.repository import Repository
from tritonops.redaction import redact


@dataclass(frozen=True)
class ListedVersion:
    """One version, of models.toml or only of the disk; what is not known is None."""

    name: str
    version: int
    source: str | None
    """The Hub's repository, the URL or the path; None for what models.toml does not have."""
    revision: str | None
    size: int | None
    """Bytes: on disk where it is installed, else as the lock says."""
    installed: bool
    enabled: bool | None
    """Whether Triton is shown the model; None where it is not on disk."""
    config: str | None
    """Which config the model has: "gpu" or "cpu" of triton-config, or "other"; None where it has none."""


def list_versions(
    catalog: Catalog, repository: Repository, config_dir: Path, *, sizes: Mapping[str, int] | None = None
) -> tuple[ListedVersion, ...]:
    """Compare models.toml with the disk; what only the disk has comes last.

    `sizes` maps labels, such as "clip/1", to what the lock says they will take.
    """
    configs = {name: _config(catalog, repository, config_dir, name) for name in (*catalog.names, *repository.names())}
    declared = [_declared(entry, repository, configs[entry.name], sizes or {}) for entry in catalog.versions]
    return (*declared, *_undeclared(catalog, repository, configs))


def _declared(
    entry: ModelVersion, repository: Repository, config: str | None, sizes: Mapping[str, int]
) -> ListedVersion:
    folder = repository.version_dir(entry.name, entry.version)
    installed = (folder / entry.local_name).exists()
    return ListedVersion(
        name=entry.name,
        version=entry.version,
        source=_source(entry),
        revision=entry.source.revision if isinstance(entry.source, HubSource) else None,
        size=_size(folder) if installed else sizes.get(entry.label),
        installed=installed,
        enabled=_enabled(repository, entry.name),
        config=config,
    )


def _undeclared(catalog: Catalog, repository: Repository, configs: Mapping[str, str | None]) -> Iterator[ListedVersion]:
    declared = {(entry.name, entry.version) for entry in catalog.versions}
    for name in repository.names():
        for version in repository.versions(name):
            if (name, version) not in declared:
                size = _size(repository.version_dir(name, version))
                yield ListedVersion(name, version, None, None, size, True, _enabled(repository, name), configs[name])


def _source(entry: ModelVersion) -> str:
    if isinstance(entry.source, HubSource):
        return entry.source.repo_id
    return redact(entry.source.url) if isinstance(entry.source, UrlSource) else str(entry.source.path)


def _enabled(repository: Repository, name: str) -> bool | None:
    home = repository.home(name)
    return None if home is None else home.parent == repository.root


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _config(catalog: Catalog, repository: Repository, config_dir: Path, name: str) -> str | None:
    path = repository.config_path(name)
    if not path.exists():
        return None
    there = read_text(path)
    for variant in VARIANTS:
        source = source_path(config_dir, name, variant)
        if source.exists() and there == keep_policy(there, wanted_config(catalog, name, read_text(source))):
            return variant
    return "other"
