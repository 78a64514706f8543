"""models.lock: resolve what models.toml asks for to commits, sizes and hashes, and compare the two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import PartialFailureError, SourceChangedError, StaleLockError, StoreError, TritonOpsError
from tritonops.models.catalog.catalog import ModelVersion
from tritonops.models.catalog.commit import Commits
from tritonops.models.catalog.lockfile import LockedVersion, differences, pin_of
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store
from tritonops.models.install.small_files import match_small_files
from tritonops.models.sources.fetcher import Fetcher
from tritonops.models.sources.listing import Listing
from tritonops.models.sources.path_source import source_problems
from tritonops.models.transfer.progress import Progress
from tritonops.project import Project


@dataclass(frozen=True)
class LockResult:
    """What was resolved, by label, and what kept its pin."""

    locked: tuple[str, ...]
    kept: tuple[str, ...]


def lock_models(project: Project, *, include: Sequence[str] = (), progress: Progress | None = None) -> LockResult:
    """Pin what is not pinned, or the models in `include` again, whatever their pins say.

    Only the small files that have no SHA-256 yet are fetched; they go into the store. Raises CatalogError,
    UnknownModelError, and PartialFailureError with the versions that keep what they had; the others are pinned.
    """
    settings, progress = project.settings, progress or Progress()
    commits = Commits(settings.models_toml, on_wait=progress.waiting)
    commits.catalog.select(include)  # wrong input is not worth a wait
    store = Store(settings.store_dir)
    with (
        store.locked("locking models", on_wait=progress.waiting),
        Fetcher.of(settings, store, progress) as fetcher,
    ):
        versions, before = commits.catalog.select(include), commits.pins
        pins = {version.label: pin_of(version, before, settings.models_toml) for version in versions}
        stale = [version for version in versions if include or pins[version.label] is None]
        kept = {version.label: (version, pin) for version in versions if not include and (pin := pins[version.label])}
        changed = {label: exc for label, exc in fetcher.list_pinned(kept).items() if isinstance(exc, TritonOpsError)}
        resolved, errors = resolve(stale, settings.models_toml, fetcher, Repository(settings.models_dir))
        with commits.locked():
            try:
                commits.pin(resolved, before=before)
            except OSError as exc:
                raise StoreError(f"cannot write {settings.lock_path}: {exc.strerror}") from exc
            for label, objection in commits.objections(resolved).items():
                errors[label] = StoreError(f"not locked: {objection}")
    if errors or changed:
        failures = {label: error.in_one_line for label, error in {**errors, **changed}.items()}
        codes = {error.exit_code for error in [*errors.values(), *changed.values()]}
        raise PartialFailureError("not everything was locked", failures, exit_code=max(codes) if len(codes) == 1 else 1)
    return LockResult(tuple(resolved), tuple(kept))


def resolve(
    versions: Iterable[ModelVersion], catalog_path: Path, fetcher: Fetcher, repository: Repository
) -> tuple[dict[str, LockedVersion], dict[str, TritonOpsError]]:
    """Find out what versions consist of now: pins, and why there is none; both by label."""
    answers = fetcher.list_files(versions)
    listings = [match_small_files(answer, repository) for answer in answers.values() if isinstance(answer, Listing)]
    outcomes = fetcher.fetch(file for listing in listings for file in listing.files if file.sha256 is None)
    pins = {listing.version.label: listing.locked(catalog_path, outcomes) for listing in listings}
    errors = {label: answer for label, answer in answers.items() if isinstance(answer, TritonOpsError)}
    for listing in listings:
        for file in listing.files:
            if isinstance(error := outcomes.get(file.key), TritonOpsError):
                errors[listing.version.label] = error
    return {label: pin for label, pin in pins.items() if pin}, errors


@dataclass(frozen=True)
class LockComparison:
    """How models.lock differs from models.toml and from local files."""

    what: str
    """The files that were compared, as a message names them."""
    differences: Mapping[str, str]
    """By label ("clip/1")."""
    unknown: Mapping[str, str]
    """By label: why its files cannot be compared."""
    hints: tuple[str, ...] = ()

    def raise_if_different(self) -> None:
        """Raise StaleLockError for differences, and PartialFailureError where files cannot be compared."""
        hint = " ".join(self.hints) or None
        if self.unknown:
            raise PartialFailureError("not everything can be compared", {**self.differences, **self.unknown}, hint=hint)
        if self.differences:
            lines = [f"  {label}: {what}" for label, what in sorted(self.differences.items())]
            raise StaleLockError("\n".join([f"{self.what}:", *lines]), hint=hint)


def compare_lock(project: Project, *, include: Sequence[str] = (), with_sources: bool = True) -> LockComparison:
    """Compare models.lock with models.toml and, `with_sources`, with the local files that it names.

    Nothing is written.
    """
    settings, catalog, lock = project.settings, project.catalog, project.lock
    labels = {version.label for version in catalog.select(include)}
    problems = source_problems(catalog, lock, project.store.digests) if with_sources else {}
    changed = {label: exc for label, exc in problems.items() if isinstance(exc, SourceChangedError)}
    unknown = {label: str(exc) for label, exc in problems.items() if label not in changed}
    found = {**differences(catalog, lock), **{label: str(exc) for label, exc in changed.items()}}
    found, unknown = ({k: v for k, v in each.items() if not include or k in labels} for each in (found, unknown))
    hints = ["inv models.lock pins what is not pinned, and drops other pins."] * bool(found.keys() - changed.keys())
    hints += [str(exc.hint) for label, exc in changed.items() if label in found]
    what = f"{settings.lock_path} does not agree with {settings.models_toml.name}"
    return LockComparison(what, found, unknown, tuple(hints))
