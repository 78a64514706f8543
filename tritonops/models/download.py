"""models.toml to versions on disk: list what is not pinned, fetch what the store lacks, install what is complete."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tritonops.errors import PartialFailureError, RepositoryError, SourceChangedError, StoreError, TritonOpsError
from tritonops.models.catalog.catalog import ModelVersion
from tritonops.models.catalog.commit import Commits
from tritonops.models.catalog.lockfile import LockedVersion, pin_of
from tritonops.models.disk.repository import Repository
from tritonops.models.disk.store import Store
from tritonops.models.install.small_files import match_small_files
from tritonops.models.install.staging import staged
from tritonops.models.install.state import adopt_installed, install_state
from tritonops.models.sources.fetcher import MAX_CONNECTIONS, Fetcher
from tritonops.models.sources.hub import Hub
from tritonops.models.sources.listing import FetchResults, Listing
from tritonops.models.transfer.progress import Progress
from tritonops.models.transfer.worker_pool import in_parallel
from tritonops.project import Project

_LONG_READ = 1_000_000_000
"""Bytes that take so long to read that it is worth a message."""
_BATCH = 16
"""Versions of one commit at most: each commit costs as much as a rename or two, and keeps others waiting meanwhile."""


@dataclass(frozen=True)
class Failure:
    """One version that could not be had, and why."""

    model: str
    error: str
    exit_code: ClassVar[int] = 1


@dataclass(frozen=True)
class InputFailure(Failure):
    """One that a person has to decide about: its source changed since it was locked."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True)
class DownloadResult:
    """What a download did, by label ("clip/1"); `bytes` were fetched, `seconds` passed."""

    downloaded: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: tuple[Failure, ...]
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
    """Bring the models in `include`, or all of them, into the models directory, and pin them in models.lock.

    One version's failure does not keep the others from being done; it is in the result. An installed version with
    other bytes than the pinned ones is replaced only with `overwrite`. With `verify`, everything installed is hashed
    again, and what is wrong is replaced. Raises CatalogError and UnknownModelError, and
    StoreError where the disk is full or cannot be written: then, as after kill -9, the next run goes on from there.
    """
    started = time.monotonic()
    settings, repository, progress = project.settings, project.repository, progress or Progress()
    commits = Commits(settings.models_toml, on_wait=progress.waiting)
    commits.catalog.select(include)  # wrong input is not worth a wait
    store, hub = Store(settings.store_dir, rehash=verify), Hub.of(settings)
    with (
        store.locked("downloading", on_wait=progress.waiting),
        Fetcher(
            store,
            hub,
            progress,
            max_connections=max_connections or MAX_CONNECTIONS,
            stall_seconds=settings.stall_seconds,
        ) as fetcher,
    ):
        run = _Run(repository, commits, store, fetcher, progress, overwrite=overwrite, verify=verify)
        run.bring(commits.catalog.select(include))
    seconds = round(time.monotonic() - started, 3)
    failed = tuple(run.failed.values())
    return DownloadResult(tuple(run.downloaded), tuple(run.skipped), failed, fetcher.received, seconds)


def raise_unless_done(result: DownloadResult) -> None:
    """Raise PartialFailureError with what failed; for a caller whose exit code depends on it.

    The exit code is that of the failures where it is the same for all, and 1 otherwise.
    """
    if result.failed:
        failures = {failure.model: failure.error for failure in result.failed}
        codes = {failure.exit_code for failure in result.failed}
        raise PartialFailureError(
            "not everything was downloaded", failures, exit_code=codes.pop() if len(codes) == 1 else 1
        )


class _Run:
    """One download, under the store's lock, and what has come of it."""

    def __init__(
        self,
        repository: Repository,
        commits: Commits,
        store: Store,
        fetcher: Fetcher,
        progress: Progress,
        *,
        overwrite: bool,
        verify: bool,
    ) -> None:
        self._commits, self._fetcher, self._progress = commits, fetcher, progress
        self._overwrite, self._verify = overwrite, verify
        self._store = store
        self._repository = repository
        self._earlier = self._before = commits.pins
        """What models.lock said when the run began, and what it said last."""
        self._pins: dict[str, LockedVersion] = {}
        """What the versions of this run consist of, by label."""
        self._folders: dict[str, Path] = {}
        """Places of versions, looked up when the run began; each is good for one look."""
        self._due: set[str] = set()
        """Versions that are to be installed: their place was looked at."""
        self._listed: list[Listing] = []
        self._fetched: set[str] = set()
        """The files that the store did not have before, by SHA-256."""
        self.downloaded: list[str] = []
        self.skipped: list[str] = []
        self.failed: dict[str, Failure] = {}
        self._done: set[str] = set()

    def bring(self, versions: Sequence[ModelVersion]) -> None:
        """Bring these versions to disk, and pin them."""
        self._listed = listings = self._listings(versions)
        self._read_ahead(listings)
        due = [listing for listing in listings if not self._is_settled(listing, {})]
        if due:
            self._repository.refuse_mount_point()  # before the bytes are here, not after
        # Pinned before they are fetched: an interrupted download goes on with the same commit.
        self._pin(due)
        self._fetch_and_install([listing for listing in due if listing.version.label not in self._done])

    def _fetch_and_install(self, listings: Sequence[Listing]) -> None:
        """Install each version as soon as its last file is here, so that an interruption leaves it served.

        One whose small files have no SHA-256 yet waits for the end: it is not pinned before, and without a pin the next
        run could take it for somebody else's.
        """
        files = [file for listing in listings for file in listing.files]
        lacking = self._fetcher.missing_files(files)
        self._fetched |= lacking.keys()
        awaited = {
            listing.version.label: {file.key for file in listing.files} & lacking.keys()
            for listing in listings
            if all(file.sha256 for file in listing.files)
        }
        waiting: dict[str, list[Listing]] = {}
        for listing in listings:
            for key in awaited.get(listing.version.label, ()):
                waiting.setdefault(key, []).append(listing)

        def on_stored(keys: Sequence[str]) -> None:
            complete = []
            for key in keys:
                for listing in waiting.get(key, ()):
                    label = listing.version.label
                    awaited[label].discard(key)
                    if not awaited[label]:
                        complete.append(listing)
            self._install(complete)

        outcomes = self._fetcher.fetch(lacking.values(), on_stored)
        self._fetched |= {sha256 for sha256 in outcomes.values() if isinstance(sha256, str)}
        rest = [listing for listing in listings if listing.version.label not in self._done]
        complete = [listing for listing in rest if not self._has_failed(listing, outcomes)]
        due = [listing for listing in complete if not self._is_settled(listing, outcomes)]
        self._pin(due)
        self._install([listing for listing in due if listing.version.label not in self._done])

    def _listings(self, versions: Sequence[ModelVersion]) -> list[Listing]:
        """Read what is pinned from the lock, and ask the sources of the rest."""
        pins = {version.label: pin_of(version, self._before, self._commits.models_toml) for version in versions}
        answers = self._fetcher.list_files([version for version in versions if pins[version.label] is None])
        answers |= self._fetcher.list_pinned(
            {version.label: (version, pin) for version in versions if (pin := pins[version.label])}
        )
        for label, answer in answers.items():
            if isinstance(answer, TritonOpsError):
                self._fail(label, answer)
        listings = [answer for answer in answers.values() if isinstance(answer, Listing)]
        return [match_small_files(listing, self._repository) for listing in listings]

    def _read_ahead(self, listings: Sequence[Listing]) -> None:
        """Hash in parallel what `state` will ask for one by one."""
        digests, cores = self._store.digests, os.cpu_count() or 1
        unread: dict[Path, int] = {}
        for listing in listings:
            try:
                folder = self._place(listing)
            except RepositoryError:
                continue  # the version's own failure, later
            self._folders[listing.version.label] = folder
            is_there = folder.is_dir()
            for file in listing.files:
                placed = folder / file.path if is_there else None
                if placed and digests.known(placed):
                    continue
                path = placed if placed and (placed.exists() or not file.sha256) else None
                path = path or (self._store.blob(file.sha256) if file.sha256 else None)
                if path and digests.is_unread(path, file.size):
                    unread[path] = file.size
        if sum(unread.values()) > _LONG_READ:
            self._progress.reading(len(unread), sum(unread.values()))
        in_parallel(lambda each: digests.matches(*each, ""), [*unread.items()], threads=cores, first=cores)

    def _is_settled(self, listing: Listing, outcomes: FetchResults) -> bool:
        """Whether nothing is to be done for a version: it is there, or may not be replaced."""
        label = listing.version.label
        if label in self._due:
            return False
        try:
            place = self._folders.pop(label, None) or self._place(listing)
            adopt_installed(self._store, listing, place)
            pin = listing.locked(self._commits.models_toml, outcomes)
            if pin is None:
                return False
            self._pins[label] = pin
            found = install_state(self._store, pin, self._repository, folder=place)
            if found != "installed":
                self._repository.refuse_link(pin.name)
            if found == "other bytes" and not (self._overwrite or self._verify):
                raise StoreError(
                    f"{place} holds other files than the pinned ones",
                    hint="--overwrite replaces them, and keeps them in .store/replaced/.",
                )
        except (TritonOpsError, OSError) as exc:
            self._fail(label, exc)
            return True
        if found == "installed":
            self.skipped.append(label)
            self._done.add(label)
            return True
        self._due.add(label)
        return False

    def _place(self, listing: Listing) -> Path:
        return self._repository.version_dir(listing.version.name, listing.version.version)

    def _has_failed(self, listing: Listing, outcomes: FetchResults) -> bool:
        errors = [error for file in listing.files if isinstance(error := outcomes.get(file.key), TritonOpsError)]
        for error in errors[:1]:
            self._fail(listing.version.label, error)
        return bool(errors)

    def _install(self, listings: Sequence[Listing]) -> None:
        """Put versions where they belong, but those for which models.toml or models.lock ask for others by now."""
        for batch in _batches(listings):
            objections: dict[str, str] = {}
            try:
                with ExitStack() as stages:
                    swaps = {label: swap for label in batch if (swap := self._staged(label, stages))}
                    stages.enter_context(self._commits.locked())
                    stages.enter_context(self._repository.changing())
                    objections = self._commits.objections({label: self._pins[label] for label in swaps})
                    for label, swap in swaps.items():
                        if label not in objections:
                            self._swap(label, swap)
            except TritonOpsError as exc:
                for label in batch.keys() - self._done:
                    self._fail(label, exc)
            for label, objection in objections.items():
                self._drop(batch[label], objection)

    def _staged(self, label: str, stages: ExitStack) -> Callable[[], None] | None:
        pin, earlier = self._pins[label], self._earlier.get(label)
        try:
            return stages.enter_context(staged(self._store, pin, self._repository, earlier=earlier))
        except TritonOpsError as exc:
            self._fail(label, exc)
            return None

    def _swap(self, label: str, swap: Callable[[], None]) -> None:
        try:
            swap()
        except TritonOpsError as exc:
            self._fail(label, exc)
            return
        self.downloaded.append(label)
        self._done.add(label)

    def _fail(self, label: str, error: TritonOpsError | OSError) -> None:
        text = error.in_one_line if isinstance(error, TritonOpsError) else str(error)
        self.failed[label] = (InputFailure if isinstance(error, SourceChangedError) else Failure)(label, text)
        self._done.add(label)

    def _drop(self, listing: Listing, objection: str) -> None:
        """Give a version up, and delete the files that were fetched for it alone."""
        label = listing.version.label
        kept = {file.sha256 for each in self._listed if each is not listing for file in each.files}
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
            due = {listing.version.label: listing for listing in listings if listing.version.label in self._pins}
            for label, objection in self._commits.objections({label: self._pins[label] for label in due}).items():
                self._drop(due[label], objection)


def _batches(listings: Sequence[Listing]) -> Iterator[dict[str, Listing]]:
    """Divide versions, by label, into those of one commit, each of another model: a model is staged in one folder."""
    left = {listing.version.label: listing for listing in listings}
    while left:
        of_each_model = {listing.version.name: label for label, listing in reversed(left.items())}
        yield {label: left.pop(label) for label in [*reversed(of_each_model.values())][:_BATCH]}
