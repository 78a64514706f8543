"""models.toml to versions on disk: list what is not pinned, fetch what is not stored, install what is complete."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tritonops.errors import PartialFailureError, RepositoryError, SourceChangedError, StoreError, TritonOpsError
from tritonops.models.catalog.catalog import ModelVersion
from tritonops.models.catalog.commit import Commits
from tritonops.models.catalog.lockfile import LockedVersion, pin_of
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store
from tritonops.models.install.pending_versions import PendingVersions
from tritonops.models.install.read_ahead import hash_ahead
from tritonops.models.install.small_files import match_small_files
from tritonops.models.install.state import adopt_installed, install_state
from tritonops.models.install.version_installer import VersionInstaller
from tritonops.models.sources.fetcher import Fetcher
from tritonops.models.sources.listing import FetchResults, Listing
from tritonops.models.transfer.progress import Progress
from tritonops.project import Project


@dataclass(frozen=True)
class DownloadFailure:
    """One version that failed, and why."""

    model: str
    error: str
    exit_code: ClassVar[int] = 1


@dataclass(frozen=True)
class InputFailure(DownloadFailure):
    """One that a person has to decide about: its source changed since it was locked."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True)
class DownloadResult:
    """What a download did, by label ("clip/1"); `bytes` were fetched, in `seconds`."""

    downloaded: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: tuple[DownloadFailure, ...]
    bytes: int
    seconds: float


def download(
    project: Project,
    *,
    include: Sequence[str] = (),
    overwrite: bool = False,
    verify: bool = False,
    max_connections: int | None = None,
    progress: Progress | None = None,
) -> DownloadResult:
    """Download the models in `include`, or all of them, into the models directory, and pin them in models.lock.

    One version's failure does not keep the others from being done; it is in the result. An installed version with
    other bytes than the pinned ones is replaced only with `overwrite`. With `verify`, everything installed is hashed
    again, and what is wrong is replaced. Raises CatalogError and UnknownModelError, and StoreError where the disk is
    full or cannot be written: then, as after kill -9, the next run goes on from there.
    """
    started = time.monotonic()
    settings, repository, progress = project.settings, project.repository, progress or Progress()
    commits = Commits(settings.models_toml, on_wait=progress.waiting)
    commits.catalog.select(include)  # wrong input is not worth a wait
    store = Store(settings.store_dir, rehash=verify)
    with (
        store.locked("downloading", on_wait=progress.waiting),
        Fetcher.of(settings, store, progress, max_connections=max_connections) as fetcher,
    ):
        run = _Download(repository, commits, store, fetcher, progress, may_replace=overwrite or verify)
        run.download(commits.catalog.select(include))
    seconds = round(time.monotonic() - started, 3)
    failed = tuple(run.failed.values())
    return DownloadResult(tuple(run.downloaded), tuple(run.skipped), failed, fetcher.received, seconds)


def raise_unless_done(result: DownloadResult) -> None:
    """Raise PartialFailureError with what failed; for a caller whose exit code depends on it.

    The exit code is that of the failures where it is the same for all, else 1.
    """
    if result.failed:
        failures = {failure.model: failure.error for failure in result.failed}
        codes = {failure.exit_code for failure in result.failed}
        raise PartialFailureError(
            "not everything was downloaded", failures, exit_code=codes.pop() if len(codes) == 1 else 1
        )


class _Download:
    """One download, while the store is locked, and its result."""

    def __init__(
        self,
        repository: Repository,
        commits: Commits,
        store: Store,
        fetcher: Fetcher,
        progress: Progress,
        *,
        may_replace: bool,
    ) -> None:
        self._repository, self._commits, self._store = repository, commits, store
        self._fetcher, self._progress, self._may_replace = fetcher, progress, may_replace
        self._before = commits.pins
        """models.lock as it was read last."""
        self._installer = VersionInstaller(store, repository, commits, commits.pins)
        self._pins: dict[str, LockedVersion] = {}
        """What the versions of this run consist of, by label."""
        self._folders: dict[str, Path] = {}
        """Folders of versions, looked up when the run began; each is used once."""
        self._compared: set[str] = set()
        """Versions that are to be installed: their folder was compared with their pin."""
        self._listed: list[Listing] = []
        self._fetched: set[str] = set()
        """The files that were not stored before, by SHA-256."""
        self._done: set[str] = set()
        self.downloaded: list[str] = []
        self.skipped: list[str] = []
        self.failed: dict[str, DownloadFailure] = {}

    def download(self, versions: Sequence[ModelVersion]) -> None:
        """Download, install and pin these versions."""
        self._listed = listings = self._list(versions)
        self._look_up_folders(listings)
        hash_ahead(
            self._store,
            [(each, self._folders[each.version.label]) for each in listings if each.version.label in self._folders],
            self._progress,
        )
        missing = [listing for listing in listings if self._needs_install(listing, {})]
        if missing:
            self._repository.refuse_mount_point()  # before the bytes are fetched, not after
        # Pinned before they are fetched: an interrupted download goes on with the same commit.
        self._pin(missing)
        self._fetch_and_install(self._unfinished(missing))

    def _unfinished(self, listings: Sequence[Listing]) -> list[Listing]:
        return [listing for listing in listings if listing.version.label not in self._done]

    def _fetch_and_install(self, listings: Sequence[Listing]) -> None:
        """Install each version as soon as its last file is stored, so that an interruption leaves it installed."""
        missing = self._fetcher.missing_files(file for listing in listings for file in listing.files)
        self._fetched |= missing.keys()
        pending = PendingVersions(listings, missing.keys())
        results = self._fetcher.fetch(missing.values(), lambda keys: self._install(pending.arrived(keys)))
        self._fetched |= {sha256 for sha256 in results.values() if isinstance(sha256, str)}
        complete = [listing for listing in self._unfinished(listings) if not self._has_failed(listing, results)]
        rest = [listing for listing in complete if self._needs_install(listing, results)]
        self._pin(rest)
        self._install(self._unfinished(rest))

    def _list(self, versions: Sequence[ModelVersion]) -> list[Listing]:
        """List what is pinned as the lock says, and ask the sources of the rest."""
        pins = {version.label: pin_of(version, self._before, self._commits.models_toml) for version in versions}
        unpinned = [version for version in versions if pins[version.label] is None]
        # What is not installed is copied in any case, and hashed then.
        results = self._fetcher.list_files(unpinned, is_hashed=self._has_folder)
        results |= self._fetcher.list_pinned(
            {version.label: (version, pin) for version in versions if (pin := pins[version.label])}
        )
        for label, result in results.items():
            if isinstance(result, TritonOpsError):
                self._fail(label, result)
        listings = [result for result in results.values() if isinstance(result, Listing)]
        return [match_small_files(listing, self._repository) for listing in listings]

    def _look_up_folders(self, listings: Sequence[Listing]) -> None:
        for listing in listings:
            try:
                self._folders[listing.version.label] = self._folder(listing)
            except RepositoryError:
                continue  # the version's own failure, later

    def _folder(self, listing: Listing) -> Path:
        return self._repository.version_dir(listing.version.name, listing.version.version)

    def _has_folder(self, version: ModelVersion) -> bool:
        """Whether anything may be installed of it; of a model in two places, which is an error later, too."""
        try:
            return self._repository.version_dir(version.name, version.version).exists()
        except RepositoryError:
            return True

    def _needs_install(self, listing: Listing, results: FetchResults) -> bool:
        """Compare a version with its pin; False where it is up to date, or may not be replaced, which is a failure."""
        label = listing.version.label
        if label in self._compared:
            return True
        try:
            is_installed = self._is_installed(listing, results)
        except (TritonOpsError, OSError) as exc:
            self._fail(label, exc)
            return False
        if is_installed:
            self.skipped.append(label)
            self._done.add(label)
        return not is_installed

    def _is_installed(self, listing: Listing, results: FetchResults) -> bool:
        """Pin a version, once all its hashes are known. Raises StoreError where it may not be replaced."""
        label = listing.version.label
        folder = self._folders.pop(label, None) or self._folder(listing)
        adopt_installed(self._store, listing, folder)
        pin = listing.locked(self._commits.models_toml, results)
        if pin is None:
            return False
        self._pins[label] = pin
        state = install_state(self._store, pin, self._repository, folder=folder)
        if state == "installed":
            return True
        self._repository.refuse_link(pin.name)
        if state == "other bytes" and not self._may_replace:
            raise StoreError(
                f"{folder} has other files than the pinned ones",
                hint="--overwrite replaces them, and keeps them in .store/replaced/.",
            )
        self._compared.add(label)
        return False

    def _has_failed(self, listing: Listing, results: FetchResults) -> bool:
        errors = [error for file in listing.files if isinstance(error := results.get(file.key), TritonOpsError)]
        for error in errors[:1]:
            self._fail(listing.version.label, error)
        return bool(errors)

    def _install(self, listings: Sequence[Listing]) -> None:
        result = self._installer.install(self._pins[listing.version.label] for listing in listings)
        self.downloaded += result.installed
        self._done.update(result.installed)
        for label, error in result.failed.items():
            self._fail(label, error)
        self._drop(result.objections)

    def _fail(self, label: str, error: TritonOpsError | OSError) -> None:
        text = error.in_one_line if isinstance(error, TritonOpsError) else str(error)
        self.failed[label] = (InputFailure if isinstance(error, SourceChangedError) else DownloadFailure)(label, text)
        self._done.add(label)

    def _drop(self, objections: Mapping[str, str]) -> None:
        """Give versions up, and delete the files that were fetched for each of them alone."""
        for label, objection in objections.items():
            others = [listing for listing in self._listed if listing.version.label != label]
            kept = {file.sha256 for listing in others for file in listing.files}
            pins = {**self._pins, **self._commits.pins}
            kept |= {file.sha256 for each, pin in pins.items() if each != label for file in pin.files}
            for sha256 in {file.sha256 for file in self._pins[label].files} & self._fetched - kept:
                self._store.drop(sha256)
            self._fail(label, StoreError(f"not installed, and what was fetched is dropped: {objection}"))

    def _pin(self, listings: Sequence[Listing]) -> None:
        """Write the pins that are not in models.lock; give up the versions that models.toml no longer asks for."""
        new = {label: pin for label, pin in self._pins.items() if self._before.get(label) != pin}
        stale = self._before.keys() - {version.label for version in self._commits.catalog.versions}
        if not (new or stale or listings):
            return
        with self._commits.locked():
            try:
                self._commits.pin(new, before=self._before)
            except OSError as exc:
                self._progress.warned(f"cannot write {self._commits.lock_path} ({exc.strerror}): nothing is pinned")
            self._before = self._commits.pins
            labels = [listing.version.label for listing in listings]
            pins = {label: self._pins[label] for label in labels if label in self._pins}
            self._drop(self._commits.objections(pins))
