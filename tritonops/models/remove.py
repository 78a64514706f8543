"""Remove a model from models.toml and models.lock, and from the disk where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tritonops.errors import InputError, TritonOpsError
from tritonops.models.catalog.catalog import Catalog, ModelVersion
from tritonops.models.catalog.commit import Commits
from tritonops.models.catalog.editing import without_entries, without_labels
from tritonops.models.catalog.parsing import read_catalog_text
from tritonops.models.disk.replaced_files import leaves
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store
from tritonops.project import Project
from tritonops.settings import Settings


@dataclass(frozen=True)
class Removal:
    """What a removal is about to take away."""

    entries: tuple[ModelVersion, ...]
    folders: tuple[Path, ...]
    """Of the disk; none unless they were asked for."""
    files: bool = False
    """Whether they were."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The versions, as people write them."""
        return tuple(entry.label for entry in self.entries)


def plan_removal(project: Project, name: str, *, version: int | None, files: bool) -> Removal:
    """Find what a removal takes away. Raises UnknownModelError, and InputError for a version that is not there."""
    settings, catalog, repository = project.settings, project.catalog, project.repository
    entries = [entry for entry in catalog.select([name]) if version in (None, entry.version)]
    if not entries:
        raise InputError(f"{settings.models_toml} has no version {version} of {name}")
    return Removal(tuple(entries), tuple(_folders(settings, repository, entries)) if files else (), files)


def _folders(settings: Settings, repository: Repository, entries: Sequence[ModelVersion]) -> list[Path]:
    """The whole model, with its configs, where no other version of it stays."""
    name, home = entries[0].name, repository.home(entries[0].name) or repository.broken_link(entries[0].name)
    gone = {entry.version for entry in entries}
    if set(repository.versions(name)) <= gone:
        candidates = [home, settings.config_dir / name]
    else:
        if home:
            repository.refuse_link(name)
        candidates = [home / str(version) for version in sorted(gone)] if home else []
    return [folder for folder in candidates if folder is not None and (folder.is_dir() or folder.is_symlink())]


def remove_model(project: Project, removal: Removal) -> None:
    """Take entries out of models.toml and models.lock, and folders from the disk. Blobs of the store stay.

    Raises TritonOpsError where the removal would take away something else by now than it lists; then nothing is.
    """
    settings, repository, store = project.settings, project.repository, project.store
    commits = Commits(settings.models_toml)
    for path in (leaf for folder in removal.folders for leaf in leaves(folder)):
        store.is_ours(path)  # hashes it, if need be, before the commit
    with commits.locked():
        entries = _still_there(commits.catalog, removal)
        if removal.files and set(_folders(settings, repository, entries)) != {*removal.folders}:
            raise TritonOpsError(f"{entries[0].name} was changed on disk meanwhile and is not removed", hint=_AGAIN)
        without_entries(settings.models_toml, read_catalog_text(settings.models_toml), entries)
        # The disk first: where models.toml was not written any more, the same command goes on from there.
        with _moved_away(repository, store, removal.folders):
            commits.edit_catalog(lambda text: without_labels(settings.models_toml, text, {*removal.labels}))
        commits.drop_stale_pins()
        if entries[0].name not in commits.catalog.names:
            repository.discard_pending_config(entries[0].name)


_AGAIN = "Run it again to see what there is now."


def _still_there(catalog: Catalog, removal: Removal) -> list[ModelVersion]:
    now = {entry.label: entry for entry in catalog.versions}
    for entry in removal.entries:
        if entry.label not in now:
            raise TritonOpsError(f"{entry.label} was removed by somebody else meanwhile", hint=_AGAIN)
        if replace(now[entry.label], place=entry.place) != entry:
            raise TritonOpsError(f"{entry.label} was changed in models.toml meanwhile, and is not removed", hint=_AGAIN)
    return [now[entry.label] for entry in removal.entries]


@contextmanager
def _moved_away(repository: Repository, store: Store, folders: Sequence[Path]) -> Iterator[None]:
    """Take folders away, each by one rename, so that Triton never sees half of a model; they come back on failure."""
    with ExitStack() as stack:
        for folder in folders:
            with repository.changing():
                stack.enter_context(repository.replaced.moved_away(folder, store.is_ours))
        yield
