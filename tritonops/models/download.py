"""models.toml to versions on disk: list what is not pinned, fetch what the store lacks, install what is complete."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tritonops.errors import PartialFailureError, StoreError, TritonOpsError
from tritonops.models.catalog import Catalog, ModelVersion, load_catalog
from tritonops.models.fetch import JOBS, Supply, in_parallel
from tritonops.models.install import match_small_files, staged, state, take_in
from tritonops.models.lock import Lock, load_lock, pin_of, update_lock
from tritonops.models.progress import Progress
from tritonops.models.repository import Repository
from tritonops.models.sources import Hub, Listing, Outcomes
from tritonops.models.store import Store
from tritonops.settings import Settings


@dataclass(frozen=True)
class Failure:
    """One version that could not be had, and why."""

    model: str
    error: str


@dataclass(frozen=True)
class DownloadResult:
    """What a download did, by label ("clip/1"); `bytes` were fetched, `seconds` passed."""

    downloaded: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: tuple[Failure, ...]
    bytes: int
    seconds: float


def download(
    settings: Settings,
    *,
    include: Sequence[str] = (),
    overwrite: bool = False,
    verify: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> DownloadResult:
    """Bring the models in `include`, or all of them, into the models directory, and pin them in models.lock.

    One version's failure does not keep the others from being done; it is in the result. An installed version with
    other bytes than the pinned ones is replaced only with `overwrite`. With `verify`, everything installed is hashed
    again, and what is wrong is replaced. Raises CatalogError and UnknownModelError, and
    StoreError where the disk is full or cannot be written: then, as after kill -9, the next run goes on from there.
    """
    started = time.monotonic()
    progress = progress or Progress()
    catalog = load_catalog(settings.models_toml)
    versions = catalog.select(include)
    store, hub = Store(settings.store_dir, rehash=verify), Hub(settings.hf_endpoint, settings.hf_token)
    with store.locked(progress.waiting), Supply(store, hub, progress, jobs=jobs or JOBS) as supply:
        run = _Run(settings, catalog, store, supply, progress, overwrite=overwrite, verify=verify)
        run.bring(versions)
    seconds = round(time.monotonic() - started, 3)
    failed = tuple(Failure(label, error) for label, error in run.failed.items())
    return DownloadResult(tuple(run.downloaded), tuple(run.skipped), failed, supply.received, seconds)


def raise_unless_done(result: DownloadResult) -> None:
    """Raise PartialFailureError with what failed; for a caller whose exit code depends on it."""
    if result.failed:
        failures = {failure.model: failure.error for failure in result.failed}
        raise PartialFailureError("not everything was downloaded", failures)


class _Run:
    """One download, under the store's lock, and what has come of it."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        store: Store,
        supply: Supply,
        progress: Progress,
        *,
        overwrite: bool,
        verify: bool,
    ) -> None:
        self._catalog, self._supply, self._progress = catalog, supply, progress
        self._overwrite, self._verify = overwrite, verify
        self._store = store
        self._repository = Repository(settings.models_dir)
        self._lock_path = settings.lock_path
        self._before: Lock = load_lock(settings.lock_path)
        self._pins = {**self._before}
        self._due: set[str] = set()
        """Versions that are pinned, and whose place was looked at: they are to be installed."""
        self.downloaded: list[str] = []
        self.skipped: list[str] = []
        self.failed: dict[str, str] = {}

    def bring(self, versions: Sequence[ModelVersion]) -> None:
        """Bring these versions to disk, and pin them."""
        listings = self._listings(versions)
        self._read_ahead(listings)
        lacking = [listing for listing in listings if not self._is_settled(listing, {})]
        if lacking:
            self._repository.refuse_mount_point()  # before the bytes are here, not after
        # Pinned before they are fetched: an interrupted download goes on with the same commit.
        self._save()
        self._fetch_and_install(lacking)
        self._save()

    def _fetch_and_install(self, listings: Sequence[Listing]) -> None:
        """Install each version as soon as its last file is here, so that an interruption leaves it served.

        One whose small files have no SHA-256 yet waits for the end: it is not pinned before, and without a pin the next
        run could take it for somebody else's.
        """
        files = [file for listing in listings for file in listing.files]
        lacking = self._supply.lacking(files)
        awaited = {
            listing.version.label: {file.key for file in listing.files} & lacking.keys()
            for listing in listings
            if all(file.sha256 for file in listing.files)
        }
        waiting: dict[str, list[Listing]] = {}
        for listing in listings:
            for key in awaited.get(listing.version.label, ()):
                waiting.setdefault(key, []).append(listing)
        done: set[str] = set()

        def on_stored(key: str) -> None:
            for listing in waiting.get(key, ()):
                label = listing.version.label
                awaited[label].discard(key)
                if not awaited[label]:
                    done.add(label)
                    self._install(listing, {})

        outcomes = self._supply.fetch(lacking.values(), on_stored)
        for listing in listings:
            if listing.version.label not in done and not self._has_failed(listing, outcomes):
                self._install(listing, outcomes)

    def _listings(self, versions: Sequence[ModelVersion]) -> list[Listing]:
        """Read what is pinned from the lock, and ask the sources of the rest."""
        pins = {version.label: pin_of(version, self._before, self._catalog.path) for version in versions}
        answers = self._supply.list([version for version in versions if pins[version.label] is None])
        for version in versions:
            if pin := pins[version.label]:
                answers[version.label] = self._supply.list_pinned(version, pin)
        for label, answer in answers.items():
            if isinstance(answer, TritonOpsError):
                self._fail(label, answer)
        listings = [answer for answer in answers.values() if isinstance(answer, Listing)]
        return [match_small_files(listing, self._repository) for listing in listings]

    def _read_ahead(self, listings: Sequence[Listing]) -> None:
        """Hash in parallel what `state` will ask for one by one."""
        digests, cores = self._store.digests, os.cpu_count() or 1
        unread: list[tuple[Path, int]] = []
        for listing in listings:
            folder = self._repository.version_dir(listing.version.name, listing.version.version)
            placed = [(folder / file.path, file.size) for file in listing.files]
            unread += [(path, size) for path, size in placed if digests.is_unread(path, size)]
        in_parallel(lambda each: digests.matches(*each, ""), unread, threads=cores, first=cores)

    def _is_settled(self, listing: Listing, outcomes: Outcomes) -> bool:
        """Whether a version needs no fetch: it is there, or may not be replaced. Pins it once its hashes are known."""
        label = listing.version.label
        try:
            take_in(self._store, listing, self._repository)
            pin = listing.locked(self._catalog.path, outcomes)
            if pin is None:
                return False
            self._pins[label] = pin
            found = state(self._store, pin, self._repository)
            if found != "installed":
                self._repository.refuse_link(pin.name)
            if found == "other bytes" and not (self._overwrite or self._verify):
                place = self._repository.version_dir(pin.name, pin.version)
                raise StoreError(
                    f"{place} holds other files than the pinned ones",
                    hint="--overwrite replaces them, and keeps them in .store/replaced/.",
                )
        except (TritonOpsError, OSError) as exc:
            self._fail(label, exc)
            return True
        if found == "installed":
            self.skipped.append(label)
            return True
        self._due.add(label)
        return False

    def _has_failed(self, listing: Listing, outcomes: Outcomes) -> bool:
        errors = [error for file in listing.files if isinstance(error := outcomes.get(file.key), TritonOpsError)]
        for error in errors[:1]:
            self._fail(listing.version.label, error)
        return bool(errors)

    def _install(self, listing: Listing, outcomes: Outcomes) -> None:
        label = listing.version.label
        if label not in self._due and self._is_settled(listing, outcomes):
            return
        try:
            with staged(self._store, self._pins[label], self._repository, earlier=self._before.get(label)) as swap:
                swap()
            self.downloaded.append(label)
        except TritonOpsError as exc:
            self._fail(label, exc)

    def _fail(self, label: str, error: TritonOpsError | OSError) -> None:
        self.failed[label] = error.in_one_line if isinstance(error, TritonOpsError) else str(error)

    def _save(self) -> None:
        try:
            self._before = update_lock(self._lock_path, self._catalog, self._before, self._pins)
        except OSError as exc:
            self._progress.warned(f"cannot write {self._lock_path} ({exc.strerror}): nothing is pinned")
