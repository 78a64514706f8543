"""A new model, from its source to where Triton finds it; and out again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import InputError, TritonOpsError
from tritonops.models.catalog import HubSource, ModelVersion, load_catalog
from tritonops.models.config import Variant, copy_configs, raise_unless_done, source_path
from tritonops.models.download import download
from tritonops.models.entries import adding_entry, preview_entry, remove_entries
from tritonops.models.fetch import Supply
from tritonops.models.generate import Wishes, generate_configs
from tritonops.models.lock import load_lock, save_lock
from tritonops.models.progress import Progress
from tritonops.models.repository import Repository
from tritonops.models.sources import Hub, Listing
from tritonops.models.store import Store
from tritonops.settings import Settings


@dataclass(frozen=True)
class Added:
    """What an addition came to."""

    entry: ModelVersion
    configs: tuple[Path, ...]
    """Those that were written from the graph; none where there were configs, or the model is not ONNX."""
    note: str | None
    """Why no config was written, where one is needed."""


def add_model(
    settings: Settings,
    name: str,
    values: Mapping[str, str | int],
    *,
    variant: Variant,
    wishes: Wishes | None = None,
    progress: Progress | None = None,
) -> Added:
    """Write an entry into models.toml, pin it, download it, and give it a config.

    `values` are the keys of the entry; `triton_version` is the next free one unless given, a Hub revision becomes the
    commit that it is now, and a path is written as seen from models.toml. Where the source does not have what was
    asked for, models.toml is as it was before.
    """
    progress = progress or Progress()
    wanted = {"triton_version": _next_version(settings, name), **values}
    if "path" in wanted:
        wanted["path"] = os.path.relpath(str(wanted["path"]), settings.models_toml.parent)
    pinned = _pinned(settings, name, wanted, progress)
    with adding_entry(settings.models_toml, name, pinned) as entry:
        _download(settings, entry, progress)
    return _configured(settings, entry, variant, wishes)


def _next_version(settings: Settings, name: str) -> int:
    versions = [entry.version for entry in load_catalog(settings.models_toml).versions_of(name)]
    return max(versions, default=0) + 1


def _pinned(
    settings: Settings, name: str, values: Mapping[str, str | int], progress: Progress
) -> Mapping[str, str | int]:
    """Name the commit in place of the branch, so that the entry stands for the same bytes from now on."""
    entry = preview_entry(settings.models_toml, name, values)
    if not isinstance(entry.source, HubSource):
        return values
    hub = Hub(settings.hf_endpoint, settings.hf_token)
    with Supply(Store(settings.store_dir), hub, progress) as supply:
        listing = supply.list([entry])[entry.label]
    if not isinstance(listing, Listing):
        raise listing
    return {**values, "revision": listing.commit or entry.source.revision}


def _download(settings: Settings, entry: ModelVersion, progress: Progress) -> None:
    result = download(settings, include=[entry.name], progress=progress)
    for failure in result.failed:
        if failure.model == entry.label:
            raise TritonOpsError(f"{entry.label} was not added: {failure.error}")


def _configured(settings: Settings, entry: ModelVersion, variant: Variant, wishes: Wishes | None) -> Added:
    catalog, repository = load_catalog(settings.models_toml), Repository(settings.models_dir)
    written: tuple[Path, ...] = ()
    try:
        if not source_path(settings.config_dir, entry.name, variant).exists():
            written = generate_configs(catalog, repository, settings.config_dir, entry.name, wishes=wishes)
        outcomes = copy_configs(catalog, repository, settings.config_dir, variant=variant, include=[entry.name])
        raise_unless_done(outcomes)
    except TritonOpsError as exc:
        return Added(entry, written, str(exc))
    return Added(entry, written, None)


@dataclass(frozen=True)
class Removal:
    """What a removal is about to take away."""

    entries: tuple[ModelVersion, ...]
    folders: tuple[Path, ...]
    """Of the disk; none unless they were asked for."""


def plan_removal(settings: Settings, name: str, *, version: int | None, files: bool) -> Removal:
    """Find what a removal takes away. Raises UnknownModelError, and InputError for a version that is not there."""
    catalog, repository = load_catalog(settings.models_toml), Repository(settings.models_dir)
    entries = [entry for entry in catalog.select([name]) if version in (None, entry.version)]
    if not entries:
        raise InputError(f"{settings.models_toml} has no version {version} of {name}")
    return Removal(tuple(entries), tuple(_folders(settings, repository, entries)) if files else ())


def _folders(settings: Settings, repository: Repository, entries: Sequence[ModelVersion]) -> list[Path]:
    """The whole model, with its configs, where no other version of it stays."""
    name, home = entries[0].name, repository.home(entries[0].name)
    gone = {entry.version for entry in entries}
    if set(repository.versions(name)) <= gone:
        candidates = [home, settings.config_dir / name]
    else:
        if home:
            repository.refuse_link(name)
        candidates = [home / str(version) for version in sorted(gone)] if home else []
    return [folder for folder in candidates if folder is not None and folder.is_dir()]


def remove_model(settings: Settings, removal: Removal) -> None:
    """Take entries out of models.toml and models.lock, and folders from the disk. Blobs of the store stay."""
    gone = {entry.label for entry in removal.entries}
    for entry in removal.entries:
        remove_entries(settings.models_toml, entry.name, entry.version)
    lock = load_lock(settings.lock_path)
    if gone & lock.keys():
        save_lock(settings.lock_path, [pin for label, pin in lock.items() if label not in gone])
    repository, store = Repository(settings.models_dir), Store(settings.store_dir)
    for folder in removal.folders:
        # By one rename, so that Triton never sees half of it.
        with repository.changing():
            repository.replaced.move_away(folder, store.is_ours)
