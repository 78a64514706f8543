"""The catalogue against the disk: what `inv models.list` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import TritonOpsError
from tritonops.models.catalog.catalog import Catalog, HubSource, ModelVersion, UrlSource
from tritonops.models.configs.declared import declared_text, keep_policy
from tritonops.models.configs.pbtxt import read_text_if_present
from tritonops.models.configs.variants import VARIANTS, source_path
from tritonops.models.disk.repository import Repository
from tritonops.models.sources.path_source import source_problems
from tritonops.project import Project
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


@dataclass(frozen=True)
class VersionList:
    """Every version of models.toml and of the disk."""

    versions: tuple[ListedVersion, ...]
    source_problems: Mapping[str, TritonOpsError]
    """By label ("clip/1"): why the files of a `path` source are not those that were locked."""


def list_versions(project: Project) -> VersionList:
    """Compare models.toml with the disk; what only the disk has comes last."""
    catalog, repository, config_dir = project.catalog, project.repository, project.settings.config_dir
    configs = {name: _config(catalog, repository, config_dir, name) for name in (*catalog.names, *repository.names())}
    sizes = {label: pin.size for label, pin in project.lock.items()}
    declared = [_declared(entry, repository, configs[entry.name], sizes) for entry in catalog.versions]
    problems = source_problems(catalog, project.lock, project.store.digests)
    return VersionList((*declared, *_undeclared(catalog, repository, configs)), problems)


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
    there = read_text_if_present(repository.config_path(name))
    if there is None:
        return None
    for variant in VARIANTS:
        text = read_text_if_present(source_path(config_dir, name, variant))
        if text is not None and there == keep_policy(there, declared_text(catalog, name, text)):
            return variant
    return "other"
